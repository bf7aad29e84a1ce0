"""What the operator needs after a deploy: the URL, and who gets messages."""

from ops import subscriptions

# What each open auth method needs besides the push URL; docs/connect.md explains each.
OTHER_WAYS = [
    ("Token URL, for OAuth", "TokenUrl"),
    ("Push URL, for tokens of your own issuer", "JwtPushUrl"),
    ("Send URL, for Azure Event Hubs", "EventHubUrl"),
    ("Topic, for AWS IoT", "IotTopicName"),
]


def report(stack):
    outputs = stack.outputs()
    print(f"\nURL to give to SmartClean:\n  {outputs['PushUrl']}")
    for what, output in OTHER_WAYS:
        if output in outputs:
            print(f"{what}:\n  {outputs[output]}")
    print("\nUser name and password: make credentials\n  or without this folder:")
    print(f"  {outputs['CredentialsCommand']}")

    listed = _list(stack, "gets the alerts", outputs["AlertTopicArn"], "run make subscribe EMAIL=address")
    watchers = []
    if "OperationsTopicArn" in outputs:
        what = "hears when the receiver itself is in trouble"
        add = "add OperationsEmail=address to samconfig.local.toml and run make deploy"
        watchers = _list(stack, what, outputs["OperationsTopicArn"], add)
    if any(map(subscriptions.is_pending, listed + watchers)):
        print('  Nothing is sent there until the link in AWS\'s message "Subscription Confirmation" is opened, or given to')
        print("  make confirm (look into the spam folder). make status shows this list again.")

    phones = [subscription["Endpoint"] for subscription in listed if subscription["Protocol"] == "sms"]
    if phones and subscriptions.in_sms_sandbox(stack):
        print("\nThis account is in the SMS sandbox: texts reach only numbers verified in the SNS console, for at most")
        print("$1 a month in all. To leave it: SNS console > Text messaging (SMS) > Exit SMS sandbox.")
    if any(phone.startswith("+65") for phone in phones):
        print("\nSingapore delivers only from a registered sender ID (SGNIC's SSIR); without one, texts arrive as")
        print('"Likely-SCAM" or not at all. Register it, then set it in the SNS console as the default sender ID.')

    print("\nSee an alert arrive: make test-alert")
    if "DashboardUrl" in outputs:
        print(f"Dashboard:           {outputs['DashboardUrl']}")
    print()


def _list(stack, what, topic, add):
    """Prints the subscriptions of a topic, and returns them."""
    listed = subscriptions.of_topic(stack, topic)
    print(f"\nWho {what}:")
    for subscription in listed:
        state = "WAITS FOR CONFIRMATION" if subscriptions.is_pending(subscription) else "confirmed"
        print(f"  {subscription['Protocol']:<6} {subscription['Endpoint']:<40} {state}")
    if not listed:
        print(f"  nobody yet: {add}")
    return listed
