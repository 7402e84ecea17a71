"""A collector that reads OTLP with the messages of OpenTelemetry's makers, and prints what it got: a line of JSON each.

Called with what it answers, one after the other, the last for ever: a status, or `partial` for "not all of it".
"""

import json
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer

from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)

answers = sys.argv[1:]


class Collector(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        message = ExportMetricsServiceRequest.FromString(body)
        # What a message of another version would hold shows as bytes that are not known.
        exact = message.SerializeToString(deterministic=True) == body or len(message.SerializeToString()) == len(body)
        headers = {name.lower(): value for name, value in self.headers.items()}
        got = {"path": self.path, "headers": headers, "exact": exact, "message": MessageToDict(message)}
        print(json.dumps(got), flush=True)
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        reply = ExportMetricsServiceResponse()
        if answer == "partial":
            reply.partial_success.rejected_data_points = 7
            reply.partial_success.error_message = "too many\nfor " + headers.get("x-token", "you")
        self.send_response(200 if answer == "partial" else int(answer))
        self.send_header("Content-Type", "application/x-protobuf")
        body = reply.SerializeToString()
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


server = HTTPServer(("127.0.0.1", 0), Collector)
print(json.dumps({"port": server.server_port}), flush=True)
server.serve_forever()
