// The same job as the function, in Node with the AWS SDK v3, for comparison. It does less: it has no state, sends an alert for
// every breach, and rejects the whole push if one item is invalid. A minimal client of the Runtime API follows the handler.
import { createHash, timingSafeEqual } from "node:crypto";
import http from "node:http";
import { gzipSync } from "node:zlib";
import { PutObjectCommand, S3Client } from "@aws-sdk/client-s3";
import { GetSecretValueCommand, SecretsManagerClient } from "@aws-sdk/client-secrets-manager";
import { PublishCommand, SNSClient } from "@aws-sdk/client-sns";

const { ALERT_TOPIC_ARN, AWS_LAMBDA_RUNTIME_API, CREDENTIALS_SECRET_ARN, RAW_BUCKET } = process.env;
const [s3, sns, secrets] = [new S3Client({ forcePathStyle: true }), new SNSClient({}), new SecretsManagerClient({})];
let expected;

function alert({ DevType = "", Display, v }) {
  const [values, kind] = [v ?? {}, DevType.split("#").pop()];
  if (kind === "UM" && Number(values.count) >= 30) return `High usage at ${Display}`;
  if (kind === "ODRDTR_BATT_V1" && Number(values.amm) >= 200) return `Bad smell at ${Display}: ${values.amm} ppb`;
  if (["TR", "PT", "SS", "BIN"].includes(kind) && Number(values.p) < 5) return `Refill ${Display}`;
}

async function handler(event) {
  if (!expected) {
    const { SecretString } = await secrets.send(new GetSecretValueCommand({ SecretId: CREDENTIALS_SECRET_ARN }));
    const { username, password } = JSON.parse(SecretString);
    expected = Buffer.from("Basic " + Buffer.from(`${username}:${password}`).toString("base64"));
  }
  const got = Buffer.from(event.headers.authorization ?? "");
  if (got.length !== expected.length || !timingSafeEqual(got, expected)) return { statusCode: 401 };
  const body = event.isBase64Encoded ? Buffer.from(event.body, "base64").toString() : event.body;
  const texts = JSON.parse(body);
  const alerts = texts.map((text) => alert(JSON.parse(text))).filter(Boolean);
  const Key = `raw/${createHash("sha256").update(body).digest("hex")}.ndjson.gz`;
  await s3.send(new PutObjectCommand({ Bucket: RAW_BUCKET, Key, Body: gzipSync(texts.join("\n"), { level: 6 }) }));
  for (const text of alerts) {
    await sns.send(new PublishCommand({ TopicArn: ALERT_TOPIC_ARN, Subject: text.slice(0, 99), Message: text }));
  }
  return { statusCode: 200, body: JSON.stringify({ accepted: texts.length, alerts: alerts.length }) };
}

const [host, port] = AWS_LAMBDA_RUNTIME_API.split(":");
const agent = new http.Agent({ keepAlive: true });
const call = (method, path, body) =>
  new Promise((resolve, reject) => {
    const headers = body ? { "content-length": Buffer.byteLength(body) } : {};
    const request = http.request({ host, port, path: `/2018-06-01/runtime${path}`, method, agent, headers }, (answer) => {
      const parts = [];
      answer.on("data", (part) => parts.push(part));
      answer.on("end", () => resolve([answer.headers, Buffer.concat(parts)]));
    });
    request.on("error", reject);
    request.end(body);
  });

for (;;) {
  const [headers, event] = await call("GET", "/invocation/next");
  const answer = await handler(JSON.parse(event));
  await call("POST", `/invocation/${headers["lambda-runtime-aws-request-id"]}/response`, JSON.stringify(answer));
}
