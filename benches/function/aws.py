"""A stand-in for S3, DynamoDB, SNS and Secrets Manager that answers at once and counts: what is measured against it is
the function's own cost. It keeps what it is given and honours the conditions that the function writes with; it is no
test of either, those are in tests/e2e. By itself: aws.py PORT [CERTIFICATE KEY]
"""

import asyncio
import hashlib
import json
import ssl
import sys
import urllib.parse
from collections import Counter

import pushes

SECRET = json.dumps({"username": pushes.USERNAME, "password": pushes.PASSWORD})


class World:
    def __init__(self):
        self.objects, self.items, self.calls = {}, {}, Counter()

    def answer(self, method, path, headers, body):
        """Status, content type, body and the further headers of an answer."""
        target = headers.get(b"x-amz-target", b"").decode()
        if path == "/calls":
            return 200, "application/json", json.dumps(self.calls).encode(), b""
        if path == "/forget":
            self.calls.clear()
            return 200, "application/json", b"{}", b""
        if target:
            service, operation = target.split(".")
            self.calls[operation] += 1
            status, told = self.json(operation, json.loads(body))
            return status, "application/x-amz-json-1.0", json.dumps(told).encode(), b""
        if headers.get(b"content-type", b"").startswith(b"application/x-www-form-urlencoded"):
            return self.sns(urllib.parse.parse_qs(body.decode()))
        return self.s3(method, path, headers, body)

    def json(self, operation, asked):
        match operation:
            case "GetSecretValue":
                if asked.get("VersionStage", "AWSCURRENT") != "AWSCURRENT":
                    return 400, {"__type": "ResourceNotFoundException", "message": "There is no such version."}
                told = {"ARN": asked["SecretId"], "Name": "push", "VersionId": "0" * 32, "SecretString": SECRET}
                return 200, {**told, "VersionStages": ["AWSCURRENT"], "CreatedDate": 1.0}
            case "BatchGetItem" if asked.get("RequestItems"):
                keys = {table: [json.dumps(key) for key in wanted["Keys"]] for table, wanted in asked["RequestItems"].items()}
                found = {table: [self.items[key] for key in keys if key in self.items] for table, keys in keys.items()}
                return 200, {"Responses": found, "UnprocessedKeys": {}}
            case "PutItem":
                key = json.dumps({"pk": asked["Item"]["pk"]})
                known = self.items.get(key)
                if "attribute_not_exists" in asked.get("ConditionExpression", ""):
                    is_met = known is None
                else:
                    read = asked.get("ExpressionAttributeValues", {}).get(":read")
                    is_met = read is None or known is not None and known["version"] == read
                if not is_met:
                    return 400, {"__type": "ConditionalCheckFailedException", "message": "The condition does not hold."}
                self.items[key] = asked["Item"]
                return 200, {}
            case "Query":
                return 200, {"Items": [], "Count": 0, "ScannedCount": 0}
            case _:
                return 400, {"__type": "ValidationException", "message": "This is not done here."}

    def sns(self, asked):
        operation = asked["Action"][0]
        self.calls[operation] += 1
        ids = [values[0] for name, values in asked.items() if name.endswith(".Id")]
        if operation == "PublishBatch" and not ids:
            fault = "<ErrorResponse><Error><Type>Sender</Type><Code>EmptyBatchRequest</Code></Error></ErrorResponse>"
            return 400, "text/xml", fault.encode(), b""
        taken = "".join(f"<member><Id>{i}</Id><MessageId>m</MessageId></member>" for i in ids)
        told = f"<Successful>{taken}</Successful><Failed/>" if ids else "<MessageId>m</MessageId>"
        return 200, "text/xml", f"<{operation}Response><{operation}Result>{told}</{operation}Result></{operation}Response>".encode(), b""

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


async def serve(world, reader, writer):
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
            status, kind, told, further = world.answer(method, path, headers, body)
            writer.write(b"HTTP/1.1 %d X\r\nContent-Type: %s\r\nContent-Length: %d\r\nx-amzn-RequestId: r\r\n%s\r\n%s"
                         % (status, kind.encode(), len(told), further, told))
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


async def main(port, *certificate):
    world, tls = World(), None
    if certificate:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(*certificate)
    server = await asyncio.start_server(lambda r, w: serve(world, r, w), "127.0.0.1", port, limit=2**25, ssl=tls)
    print(server.sockets[0].getsockname()[1], flush=True)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), *sys.argv[2:]))
