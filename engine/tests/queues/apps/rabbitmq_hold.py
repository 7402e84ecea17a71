"""Takes messages and never acknowledges them, with pika, until it is ended: ADDRESS QUEUE COUNT.

Prints `holding` when it has so many. With a fourth word `exclusive` it makes the queue and keeps it for itself.
"""

import sys

import pika

address, queue, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
connection = pika.BlockingConnection(pika.URLParameters(address))
channel = connection.channel()
if "exclusive" in sys.argv:
    channel.queue_declare(queue, exclusive=True)
held = 0


def show():
    if held == count:
        print("holding", flush=True)


def take(channel, method, properties, body):
    global held
    held += 1
    show()


channel.basic_qos(prefetch_count=max(count, 1))
channel.basic_consume(queue, take)
show()
channel.start_consuming()
