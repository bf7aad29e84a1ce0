"""MiniStack with four differences from AWS bridged, each of which a test would otherwise have to look away from.

- Email and SMS are sent: each message to such a subscription becomes a line of the file $POSTBOX. MiniStack's own stop
  at a log line, after applying the subscription's filter policy and picking the protocol's text; this takes both there.
- PublishBatch is authorised by sns:Publish, as the service authorization reference has it ("Grants permission to both
  publish and publish batch"); MiniStack asks for an action sns:PublishBatch that does not exist.
- A deployed API's /health is that API's; MiniStack answers it itself, whatever the host name.
- It listens on the port that it was given, and not on port 443 besides.
"""

import json
import logging
import os

from ministack import app
from ministack.core import iam_actions
from ministack.services import sns

build_envelope = sns._build_envelope
latest = {}


def build_and_remember(topic_arn, message_id, message, subject, *rest):
    latest.update(message=message, subject=subject)
    return build_envelope(topic_arn, message_id, message, subject, *rest)


class Postbox(logging.Handler):
    def emit(self, record):
        if record.msg.startswith("SNS fanout → ") and record.msg.endswith("(stub)"):
            protocol = record.msg.split()[3].lower()
            with open(os.environ["POSTBOX"], "a", encoding="utf-8") as postbox:
                postbox.write(json.dumps({"protocol": protocol, "to": record.args[0], **latest}) + "\n")


sns._build_envelope = build_and_remember
sns.logger.addHandler(Postbox())

extract_iam_action = iam_actions.extract_iam_action


def extract_real_action(*arguments, **options):
    action = extract_iam_action(*arguments, **options)
    return "sns:Publish" if action == "sns:PublishBatch" else action


iam_actions.extract_iam_action = extract_real_action

app._HEALTH_PATHS = ("/_ministack/health",)

app._port_is_bindable = lambda host, port: False

app.main()
