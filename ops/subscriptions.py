"""Subscriptions of the alert topic: add, confirm and remove them."""

import dataclasses
import difflib
import json
import re
import tomllib
import urllib.parse

import botocore.exceptions

from ops import CommandError, rules, settings

# The filter policy of each kind. Each message lists its channels, so that minor alerts are not sent as SMS.
FILTERS = {"email": {"channel": ["email"]}, "phone": {"channel": ["sms"]}, "https": {}}
# The kinds that template.yaml subscribes, with the parameter that contains the address.
TEMPLATE_PARAMETERS = {"email": "AlertEmail", "phone": "AlertPhone"}
PENDING = ("PendingConfirmation", "pending confirmation")


@dataclasses.dataclass(frozen=True)
class Address:
    """An address that can be subscribed. `kind` is `email`, `phone` or `https`."""

    kind: str
    endpoint: str

    @property
    def protocol(self):
        """The protocol in SNS."""
        return "sms" if self.kind == "phone" else self.kind

    def check(self):
        """Raises CommandError if the address is not valid."""
        if self.kind == "https":
            is_valid, hint = re.fullmatch(r"https://[^\s/]+(/\S*)?", self.endpoint), "a URL that starts with https://"
        else:
            parameter = settings.template_parameters()[TEMPLATE_PARAMETERS[self.kind]]
            is_valid = self.endpoint and re.search(parameter["AllowedPattern"], self.endpoint)
            hint = parameter["ConstraintDescription"].removesuffix(", or nothing")
        if not is_valid:
            raise CommandError(f"{self.endpoint!r} is not a valid address.", f"use {hint}.")


def of_topic(stack, topic):
    """The subscriptions of a topic."""
    pages = stack.client("sns").get_paginator("list_subscriptions_by_topic").paginate(TopicArn=topic)
    # For up to three days, SNS lists an ended subscription with this text in place of its ARN.
    return [each for page in pages for each in page["Subscriptions"] if each["SubscriptionArn"] != "Deleted"]


def is_pending(subscription):
    return subscription["SubscriptionArn"] in PENDING


def audiences(stack, subscription):
    """The audiences that the filter policy of a confirmed subscription names; None if it gets the messages of all."""
    attributes = stack.client("sns").get_subscription_attributes(SubscriptionArn=subscription["SubscriptionArn"])["Attributes"]
    names = json.loads(attributes.get("FilterPolicy") or "{}").get("to")
    return None if names is None else [name for name in names if isinstance(name, str)]


def _check_audience(stack, audience):
    """Raises CommandError if the rules that the function uses do not have the audience."""
    known = [each["id"] for each in tomllib.loads((rules.in_force(stack) or b"").decode()).get("audience", [])]
    if audience not in known and not rules.is_newest_in_force(stack):
        raise CommandError(
            f"The rules in force have no audience {audience!r}. The function does not use the newest rules yet.",
            'wait a minute, and run the command again. If it fails again, the notice "Rules refused" lists the errors in the rules.',
        )
    if audience not in known:
        nearest = difflib.get_close_matches(audience, known, n=1)
        have = f"the rules have {', '.join(known)}" if known else "the rules have no [[audience]]; run make rules FILE=... first"
        raise CommandError(f"The deployed rules have no audience {audience!r}.", f"did you mean {nearest[0]}?" if nearest else f"{have}.")


def in_sms_sandbox(stack):
    """Whether the account may send SMS to verified numbers only."""
    try:
        return stack.client("sns").get_sms_sandbox_account_status()["IsInSandbox"]
    except botocore.exceptions.ClientError:
        return True  # Without the permission, a note too many is better than one too few.


def subscribe(stack, address, parameters, audience=None):
    """Subscribes an address to the alerts, or to those of an audience and those for everybody."""
    address.check()
    if audience is not None:
        _check_audience(stack, audience)
    topic = stack.outputs()["AlertTopicArn"]
    found = _find(stack, topic, address)
    if found and not is_pending(found):
        known = audiences(stack, found)
        if audience is None or known is None or audience in known:
            print(f"{address.endpoint} is already subscribed to {'the messages of every audience' if known is None else ', '.join(known)}.")
            return
        policy = json.dumps(_filter(address, [*known, audience]))
        stack.client("sns").set_subscription_attributes(
            SubscriptionArn=found["SubscriptionArn"], AttributeName="FilterPolicy", AttributeValue=policy
        )
        print(f"{address.endpoint} gets the messages of {', '.join([*known, audience])} from now on.")
        return
    policy = _filter(address, [audience] if audience else [])
    attributes = {"FilterPolicy": json.dumps(policy)} if policy else {}
    stack.client("sns").subscribe(TopicArn=topic, Protocol=address.protocol, Endpoint=address.endpoint, Attributes=attributes)
    match address.kind:
        case "email":
            print(f"AWS has sent a message to {address.endpoint}. Do not open the link in it. Copy the link and run")
            print("make confirm LINK='...'. Ending the subscription then requires AWS credentials. If somebody opens the link instead,")
            print('alerts arrive too, but a click on "unsubscribe" in an alert ends them. Some mail scanners click it.')
        case "phone":
            print(f"{address.endpoint} gets alerts from now on. make status shows whether the account may send SMS.")
        case "https":
            print(f"SNS has posted a SubscriptionConfirmation to {address.endpoint}. Alerts start after the endpoint confirms it, or")
            print("after make confirm LINK='...' with the SubscribeURL of that message.")


def unsubscribe(stack, address, parameters):
    """Ends the subscription of an address."""
    name = TEMPLATE_PARAMETERS.get(address.kind)
    if name and parameters.get(name) == address.endpoint:
        raise CommandError(
            f"The template subscribes {address.endpoint}.",
            f"remove {name}={address.endpoint} from {settings.SETTINGS_FILE} and run make deploy.",
        )
    topic = stack.outputs()["AlertTopicArn"]
    found = _find(stack, topic, address)
    if not found:
        listed = ", ".join(subscription["Endpoint"] for subscription in of_topic(stack, topic)) or "none"
        raise CommandError(f"{address.endpoint} is not subscribed. Subscribed addresses: {listed}.", "use one of these.")
    if is_pending(found):
        print(f"{address.endpoint} was never confirmed and gets nothing. SNS deletes the subscription within two days.")
        return
    stack.client("sns").unsubscribe(SubscriptionArn=found["SubscriptionArn"])
    print(f"{address.endpoint} gets no more alerts.")


def confirm(stack, link):
    """Confirms a subscription by the link in the message of AWS. Ending it then requires AWS credentials."""
    query = urllib.parse.parse_qs(urllib.parse.urlsplit(link.strip()).query)
    token, topic = query.get("Token", [""])[0], query.get("TopicArn", [""])[0]
    outputs = stack.outputs()
    topics = [outputs.get("AlertTopicArn"), outputs.get("OperationsTopicArn")]
    if not token or topic not in topics:
        raise CommandError(
            "The link does not confirm a subscription of this stack.",
            'copy the address of "Confirm subscription" in the message of AWS, in quotes: make confirm LINK=\'https://...\'',
        )
    try:
        stack.client("sns").confirm_subscription(TopicArn=topic, Token=token, AuthenticateOnUnsubscribe="true")
    except botocore.exceptions.ClientError as error:
        raise CommandError(
            f"SNS refused the link: {error.response['Error']['Message']}.",
            "links expire after two days. Run make subscribe again, and use the link in the new message.",
        ) from None
    print("Confirmed. Messages arrive from now on. Ending the subscription requires AWS credentials.")


def _filter(address, names):
    """The filter policy of an address. Messages for everybody have no attribute `to`."""
    return {**FILTERS[address.kind], **({"to": [*names, {"exists": False}]} if names else {})}


def _find(stack, topic, address):
    wanted = (address.protocol, address.endpoint)
    listed = of_topic(stack, topic)
    return next((each for each in listed if (each["Protocol"], each["Endpoint"]) == wanted), None)
