"""The signature of a question to SQS, as AWS's own library makes it.

QUESTION is JSON: {"url": …, "body": …, "time": "20260101T000000Z", "key": [ID, SECRET, TOKEN], "region": …}.
"""

import datetime
import json
import sys
from unittest import mock

from botocore import auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

question = json.loads(sys.argv[1])
identifier, secret, token = question["key"]
headers = {"content-type": "application/x-amz-json-1.0", "x-amz-target": "AmazonSQS.GetQueueAttributes"}
request = AWSRequest(method="POST", url=question["url"], data=question["body"], headers=headers)
time = datetime.datetime.strptime(question["time"], "%Y%m%dT%H%M%SZ")
signer = auth.SigV4Auth(Credentials(identifier, secret, token or None), "sqs", question["region"])
with mock.patch.object(auth, "get_current_datetime", lambda *arguments, **options: time):
    signer.add_auth(request)
print(json.dumps(request.headers["Authorization"]))
