"""Does things with queues, with pika, one after the other: ADDRESS STEPS.

STEPS is a JSON list: ["declare", QUEUE, ARGUMENTS], ["publish", QUEUE, COUNT, PROPERTIES], ["get", QUEUE, COUNT],
["delete", QUEUE]. Prints `true`.
"""

import json
import sys

import pika

address, steps = sys.argv[1], json.loads(sys.argv[2])
connection = pika.BlockingConnection(pika.URLParameters(address))
channel = connection.channel()
channel.confirm_delivery()
for verb, queue, *rest in steps:
    if verb == "declare":
        channel.queue_declare(queue, durable=True, arguments=rest[0] if rest else None)
    elif verb == "publish":
        properties = pika.BasicProperties(delivery_mode=2, **(rest[1] if len(rest) > 1 else {}))
        for number in range(rest[0]):
            channel.basic_publish("", queue, str(number).encode(), properties)
    elif verb == "get":
        for _ in range(rest[0]):
            assert channel.basic_get(queue, auto_ack=True)[0]
    elif verb == "delete":
        channel.queue_delete(queue)
    else:
        raise ValueError(verb)
connection.close()
print("true")
