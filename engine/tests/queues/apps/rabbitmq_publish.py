"""Declares a queue and publishes so many messages, with pika; how many are ready: ADDRESS QUEUE COUNT."""

import json
import sys

import pika

address, queue, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
connection = pika.BlockingConnection(pika.URLParameters(address))
channel = connection.channel()
channel.confirm_delivery()
channel.queue_declare(queue, durable=True)
for number in range(count):
    channel.basic_publish("", queue, str(number).encode(), pika.BasicProperties(delivery_mode=2))
declared = channel.queue_declare(queue, passive=True)
print(json.dumps({"messages": declared.method.message_count}))
connection.close()
