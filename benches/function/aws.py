"""A local replacement for S3, DynamoDB, SNS and Secrets Manager: aws.py PORT [CERTIFICATE KEY]

It responds immediately, so that a benchmark measures the cost of the function alone, and counts its calls. It stores objects and items
and checks the conditions of writes. The end-to-end tests use MiniStack instead, which is more complete.
"""

import asyncio
import hashlib
import json
import re
import ssl
import sys
import urllib.parse
from collections import Counter

import pushes

SECRET = json.dumps({"username": pushes.USERNAME, "password": pushes.PASSWORD})


class Aws:
    def __init__(self):
        self.objects, self.items, self.calls = {}, {}, Counter()

    def respond(self, method, path, headers, body):
        """Returns the status, content type, body and further headers of the response."""
        target = headers.get(b"x-amz-target", b"").decode()
        if path == "/calls":
            return 200, "application/json", json.dumps(self.calls).encode(), b""
        if path == "/reset":
            self.calls.clear()
            return 200, "application/json", b"{}", b""
        if target:
            service, operation = target.split(".")
            self.calls[operation] += 1
            status, response = self.json(operation, json.loads(body))
            return status, "application/x-amz-json-1.0", json.dumps(response).encode(), b""
        if headers.get(b"content-type", b"").startswith(b"application/x-www-form-urlencoded"):
            return self.sns(urllib.parse.parse_qs(body.decode()))
        return self.s3(method, path, headers, body)

    def json(self, operation, request):
        match operation:
            case "GetSecretValue":
                if request.get("VersionStage", "AWSCURRENT") != "AWSCURRENT":
                    return 400, {"__type": "ResourceNotFoundException", "message": "There is no such version."}
                secret = {"ARN": request["SecretId"], "Name": "push", "VersionId": "0" * 32, "SecretString": SECRET}
                return 200, {**secret, "VersionStages": ["AWSCURRENT"], "CreatedDate": 1.0}
            case "BatchGetItem" if request.get("RequestItems"):
                keys = {table: [json.dumps(key) for key in wanted["Keys"]] for table, wanted in request["RequestItems"].items()}
                found = {table: [self.items[key] for key in keys if key in self.items] for table, keys in keys.items()}
                return 200, {"Responses": found, "UnprocessedKeys": {}}
            case "PutItem":
                key = json.dumps({"pk": request["Item"]["pk"]})
                known = self.items.get(key)
                if "attribute_not_exists" in request.get("ConditionExpression", ""):
                    is_met = known is None
                else:
                    read = request.get("ExpressionAttributeValues", {}).get(":read")
                    is_met = read is None or known is not None and known["version"] == read
                if not is_met:
                    return 400, {"__type": "ConditionalCheckFailedException", "message": "The condition is not met."}
                self.items[key] = request["Item"]
                return 200, {}
            case "BatchExecuteStatement":
                return 200, {"Responses": [self.update(**statement) for statement in request["Statements"]]}
            case "Query":
                return 200, {"Items": [], "Count": 0, "ScannedCount": 0}
            case _:
                return 400, {"__type": "ValidationException", "message": "This operation is not supported."}

    def update(self, Statement, Parameters):  # noqa: N803
        """Returns the response to an UPDATE of the items that a version is the condition of."""
        *values, key, read = Parameters
        item = self.items.get(json.dumps({"pk": key}))
        if item is None or item["version"] != read:
            return {"Error": {"Code": "ConditionalCheckFailed", "Message": "The condition is not met."}}
        for name in re.findall(r'REMOVE "(\w+)"', Statement):
            item.pop(name, None)
        item.update(zip(re.findall(r'SET "(\w+)"', Statement), values, strict=True))
        return {"TableName": "state"}

    def sns(self, form):
        operation = form["Action"][0]
        self.calls[operation] += 1
        ids = [values[0] for name, values in form.items() if name.endswith(".Id")]
        if operation == "PublishBatch" and not ids:
            fault = "<ErrorResponse><Error><Type>Sender</Type><Code>EmptyBatchRequest</Code></Error></ErrorResponse>"
            return 400, "text/xml", fault.encode(), b""
        members = "".join(f"<member><Id>{i}</Id><MessageId>m</MessageId></member>" for i in ids)
        result = f"<Successful>{members}</Successful><Failed/>" if ids else "<MessageId>m</MessageId>"
        return 200, "text/xml", f"<{operation}Response><{operation}Result>{result}</{operation}Result></{operation}Response>".encode(), b""

    def s3(self, method, path, headers, body):
        self.calls[{"PUT": "PutObject", "GET": "GetObject"}.get(method, method)] += 1
        path = path.partition("?")[0]
        if method == "PUT":
            if headers.get(b"if-none-match") == b"*" and path in self.objects:
                return 412, "application/xml", b"<Error><Code>PreconditionFailed</Code></Error>", b""
            self.objects[path] = len(body)
            return 200, "application/xml", b"", b'ETag: "%s"\r\n' % hashlib.md5(path.encode()).hexdigest().encode()
        return 404, "application/xml", b"<Error><Code>NoSuchKey</Code></Error>", b""


async def read_chunks(reader):
    body = b""
    while size := int((await reader.readline()).split(b";")[0], 16):
        body += await reader.readexactly(size)
        await reader.readline()
    await reader.readline()
    return body


async def serve(aws, reader, writer):
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            first, *lines = head.split(b"\r\n")
            method, path, _ = first.decode().split(" ", 2)
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(b":") for line in lines if line)}
            if headers.get(b"expect", b"").lower() == b"100-continue":
                writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            if b"chunked" in headers.get(b"transfer-encoding", b""):
                body = await read_chunks(reader)
            else:
                body = await reader.readexactly(int(headers.get(b"content-length", 0)))
            status, kind, response, further = aws.respond(method, path, headers, body)
            writer.write(b"HTTP/1.1 %d X\r\nContent-Type: %s\r\nContent-Length: %d\r\nx-amzn-RequestId: r\r\n%s\r\n%s"
                         % (status, kind.encode(), len(response), further, response))
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


async def main(port, *certificate):
    aws, tls = Aws(), None
    if certificate:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(*certificate)
    server = await asyncio.start_server(lambda r, w: serve(aws, r, w), "127.0.0.1", port, limit=2**25, ssl=tls)
    print(server.sockets[0].getsockname()[1], flush=True)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), *sys.argv[2:]))
