"""Prints what the operator needs after a deploy: the URL, the subscriptions, and what to do next."""

from ops import settings, subscriptions

# Outputs of the auth methods other than Basic (docs/connect.md).
AUTH_METHOD_OUTPUTS = [
    ("Token URL, for OAuth", "TokenUrl"),
    ("Push URL, for tokens of an external issuer", "JwtPushUrl"),
    ("Send URL, for Azure Event Hubs", "EventHubUrl"),
    ("Topic, for AWS IoT", "IotTopicName"),
]


def report(stack):
    outputs = stack.outputs()
    print(f"\nURL for SmartClean:\n  {outputs['PushUrl']}")
    for label, output in AUTH_METHOD_OUTPUTS:
        if output in outputs:
            print(f"{label}:\n  {outputs[output]}")
    print("\nUsername and password: make credentials\n  or, without this folder:")
    print(f"  {outputs['CredentialsCommand']}")
    print(f"\nBoard, for invited phones (make invite):\n  {outputs['BoardUrl']}")

    listed = _print_subscriptions(stack, "Alerts go to", outputs["AlertTopicArn"], "run make subscribe EMAIL=address")
    operations = []
    if "OperationsTopicArn" in outputs:
        remedy = f"add OperationsEmail=address to {settings.SETTINGS_FILE} and run make deploy"
        operations = _print_subscriptions(stack, "Alarms about this program go to", outputs["OperationsTopicArn"], remedy)
    if any(map(subscriptions.is_pending, listed + operations)):
        print('  Unconfirmed addresses get nothing. Open the link in the message "Subscription Confirmation" of AWS, or give it')
        print("  to make confirm. If there is no message, look in the spam folder. make status prints this list again.")

    phones = [subscription["Endpoint"] for subscription in listed if subscription["Protocol"] == "sms"]
    if phones and subscriptions.in_sms_sandbox(stack):
        print("\nThis account is in the SMS sandbox: SMS reach only numbers that are verified in the SNS console, for at most")
        print("$1 a month in all. To leave it: console > SNS > Text messaging (SMS) > Exit SMS sandbox.")
    if any(phone.startswith("+65") for phone in phones):
        print("\nSingapore requires a registered sender ID (SGNIC's SSIR). Without one, SMS arrive as \"Likely-SCAM\" or not at all.")
        print("Register one, then set it in the SNS console as the default sender ID.")

    print("\nTo test the alerts: make test-alert")
    if "DashboardUrl" in outputs:
        print(f"Dashboard:          {outputs['DashboardUrl']}")
    print()


def _print_subscriptions(stack, heading, topic, remedy):
    """Prints the subscriptions of a topic, and returns them."""
    listed = subscriptions.of_topic(stack, topic)
    print(f"\n{heading}:")
    for subscription in listed:
        status = "NOT CONFIRMED" if subscriptions.is_pending(subscription) else "confirmed"
        names = None if subscriptions.is_pending(subscription) else subscriptions.audiences(stack, subscription)
        to = "" if names is None else f", for {', '.join(names)}"
        print(f"  {subscription['Protocol']:<6} {subscription['Endpoint']:<40} {status}{to}")
    if not listed:
        print(f"  nobody: {remedy}")
    return listed
