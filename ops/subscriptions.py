"""Who gets the alerts: subscriptions of the alert topic."""

import dataclasses
import json
import re
import urllib.parse

import botocore.exceptions

from ops import Stop, answers

# The messages that each protocol gets: a message names its channels, so that a minor alert does not go to phones.
FILTERS = {"email": {"channel": ["email"]}, "phone": {"channel": ["sms"]}, "https": {}}
# The parameters of template.yaml that make a subscription themselves.
OF_THE_TEMPLATE = {"email": "AlertEmail", "phone": "AlertPhone"}
PENDING = ("PendingConfirmation", "pending confirmation")


@dataclasses.dataclass(frozen=True)
class Address:
    """An address that can be subscribed: `email`, `phone` or `https`, and the address itself."""

    kind: str
    endpoint: str

    @property
    def protocol(self):
        """The kind as SNS calls it."""
        return "sms" if self.kind == "phone" else self.kind

    def check(self):
        """Raises Stop if SNS could not deliver to it."""
        if self.kind == "https":
            valid, hint = re.fullmatch(r"https://[^\s/]+(/\S*)?", self.endpoint), "a URL that begins with https://"
        else:
            known = answers.template_parameters()[OF_THE_TEMPLATE[self.kind]]
            valid = self.endpoint and re.search(known["AllowedPattern"], self.endpoint)
            hint = known["ConstraintDescription"].removesuffix(", or nothing")
        if not valid:
            raise Stop(f"{self.endpoint!r} is not an address to send to.", f"give {hint}.")


def of_topic(stack, topic):
    """The subscriptions of a topic, as SNS lists them."""
    pages = stack.client("sns").get_paginator("list_subscriptions_by_topic").paginate(TopicArn=topic)
    # SNS goes on listing a subscription that was ended, for up to three days, with this in place of its ARN.
    return [each for page in pages for each in page["Subscriptions"] if each["SubscriptionArn"] != "Deleted"]


def is_pending(subscription):
    return subscription["SubscriptionArn"] in PENDING


def in_sms_sandbox(stack):
    """Whether the account may send texts to verified numbers only."""
    try:
        return stack.client("sns").get_sms_sandbox_account_status()["IsInSandbox"]
    except botocore.exceptions.ClientError:
        return True  # without the permission to ask, the note is printed once too often rather than once too seldom


def subscribe(stack, address, parameters):
    """Subscribes an address to the alerts."""
    address.check()
    topic = stack.outputs()["AlertTopicArn"]
    found = _find(stack, topic, address)
    if found and not is_pending(found):
        print(f"{address.endpoint} gets the alerts already.")
        return
    attributes = {"FilterPolicy": json.dumps(FILTERS[address.kind])} if FILTERS[address.kind] else {}
    stack.client("sns").subscribe(TopicArn=topic, Protocol=address.protocol, Endpoint=address.endpoint, Attributes=attributes)
    match address.kind:
        case "email":
            print(f"AWS has sent a message to {address.endpoint}. Do not open the link in it: copy the link, and run")
            print("make confirm LINK='...'. The subscription can then be ended only with AWS credentials. If the link is opened,")
            print('alerts come too, but anybody who clicks "unsubscribe" in an alert ends them, and so do some mail scanners.')
        case "phone":
            print(f"{address.endpoint} gets the alerts from now on. make status says whether the account may send SMS.")
        case "https":
            print(f"SNS has posted a SubscriptionConfirmation to {address.endpoint}. Alerts come once it is confirmed: by the receiver,")
            print("or with make confirm LINK='...' and the SubscribeURL of that message.")


def unsubscribe(stack, address, parameters):
    """Ends the subscription of an address."""
    name = OF_THE_TEMPLATE.get(address.kind)
    if name and parameters.get(name) == address.endpoint:
        raise Stop(
            f"{address.endpoint} is subscribed by the stack itself.",
            f"remove {name}={address.endpoint} from the saved answers (samconfig.local.toml) and run make deploy.",
        )
    topic = stack.outputs()["AlertTopicArn"]
    found = _find(stack, topic, address)
    if not found:
        listed = ", ".join(subscription["Endpoint"] for subscription in of_topic(stack, topic)) or "nobody"
        raise Stop(f"{address.endpoint} is not subscribed; subscribed: {listed}.", "give one of these.")
    if is_pending(found):
        print(f"{address.endpoint} was never confirmed and gets nothing. SNS forgets it within two days.")
        return
    stack.client("sns").unsubscribe(SubscriptionArn=found["SubscriptionArn"])
    print(f"{address.endpoint} gets no more alerts.")


def confirm(stack, link):
    """Confirms a subscription by the link in AWS's message, so that it can be ended with AWS credentials only."""
    query = urllib.parse.parse_qs(urllib.parse.urlsplit(link.strip()).query)
    token, topic = query.get("Token", [""])[0], query.get("TopicArn", [""])[0]
    outputs = stack.outputs()
    ours = [outputs.get("AlertTopicArn"), outputs.get("OperationsTopicArn")]
    if not token or topic not in ours:
        raise Stop(
            "This is not the link of a subscription of this stack.",
            'copy the address behind "Confirm subscription" in AWS\'s message, in quotes: make confirm LINK=\'https://...\'',
        )
    try:
        stack.client("sns").confirm_subscription(TopicArn=topic, Token=token, AuthenticateOnUnsubscribe="true")
    except botocore.exceptions.ClientError as error:
        raise Stop(
            f"SNS did not take the link: {error.response['Error']['Message']}.",
            "links are good for two days. Run make subscribe again, and use the link of the new message.",
        ) from None
    print("Confirmed. Messages come from now on, and can be ended only with AWS credentials.")


def _find(stack, topic, address):
    wanted = (address.protocol, address.endpoint)
    listed = of_topic(stack, topic)
    return next((each for each in listed if (each["Protocol"], each["Endpoint"]) == wanted), None)
