"""Pushes as API Gateway delivers them to a function. The devices are always the same, and each push is a little later."""

import base64
import json
import time

USERNAME, PASSWORD = "smartclean", "correct-horse-battery"
AUTHORIZATION = "Basic " + base64.b64encode(f"{USERNAME}:{PASSWORD}".encode()).decode()
HOST = "x.execute-api.ap-southeast-1.amazonaws.com"
KINDS = ["UM", "ODRDTR_BATT_V1", "SS", "BIN", "PPLCTR", "TR", "TH", "FD"]


def reading(number, zone, at):
    """Returns a reading without a breach as a JSON text, as the vendor sends it. One zone in four has a people counter: each of
    its readings changes the state of the zone, but its counts are too small to reach the limit. Readings of the other zones do not
    change the state."""
    kind = KINDS[zone % len(KINDS)]
    values = {
        "UM": {"b": "3000", "count": 0.001, "u": "6167"},
        "PPLCTR": {"count": 0.001, "out_count": 1.0},
        "ODRDTR_BATT_V1": {"amm": 20 + number % 100, "aqi": 20 + number % 100, "rh": 730, "temp": 304},
        "TH": {"t": 24.7, "h": 53.4},
        "FD": {"c": "4eccb645302e4d9c85cbace69b92d058", "n": 0, "nm": "Excellent", "rating": 1, "s": 5, "type": "FEEDBACK"},
    }.get(kind, {"p": 20 + number % 80, "d": 159})
    seconds, milliseconds = divmod(at, 1000)
    local = time.gmtime(seconds + 8 * 3600)
    digits = time.strftime("%Y%m%d%H%M%S", local)
    return json.dumps(
        {
            "AGG": digits, "DASSOC": "2BC35B402C", "DEVID": f"{zone:028x}{kind:.4}", "DevSubType": "1",
            "DevType": f"SMARTCLEAN#{kind}", "Display": f"Level {zone} {kind}", "dom": time.strftime("%d", local),
            "expire_at": seconds + 15552000, "hour": time.strftime("%H", local), "ID": f"{zone:028x}{kind:.4}",
            "InsID": f"{zone:032x}", "PID": "45ea1d38775046dbbdc955362b8834b1",
            "PropId": "d2ff1cc0ee104abba3a8ba030c72cd06", "Region": "Asia/Singapore", "t": digits,
            "time": time.strftime("%Y-%m-%dT%H:%M:%S+0800", local), "Type": None, "unix": seconds,
            "unixT": seconds * 1000 + milliseconds, "utc": seconds, "v": values,
        },
        separators=(",", ":"),
    )


def bodies(pushes, readings, zones):
    """Yields the bodies of consecutive pushes. The readings of each come from `zones` zones in turn."""
    begin = (int(time.time()) - 600) * 1000
    step = 500_000 // (pushes * readings) or 1
    for push in range(pushes):
        numbers = range(push * readings, (push + 1) * readings)
        yield json.dumps([reading(n, n % zones, begin + n * step) for n in numbers], separators=(",", ":"))


def event(body):
    """Returns the event of a push through an HTTP API, payload format 2.0, as bytes."""
    return json.dumps({
        "version": "2.0", "routeKey": "POST /push", "rawPath": "/push", "rawQueryString": "",
        "headers": {"content-type": "application/json", "authorization": AUTHORIZATION, "host": HOST,
                    "content-length": str(len(body))},
        "requestContext": {
            "accountId": "123456789012", "apiId": "x", "domainName": HOST, "domainPrefix": "x",
            "http": {"method": "POST", "path": "/push", "protocol": "HTTP/1.1", "sourceIp": "203.0.113.7",
                     "userAgent": "push"},
            "requestId": "JKJaXmPLvHcESHA=", "routeKey": "POST /push", "stage": "$default",
            "time": "12/Mar/2020:19:03:58 +0000", "timeEpoch": 1583348638390},
        "body": body, "isBase64Encoded": False,
    }).encode()


def events(pushes, readings, zones):
    return [event(body) for body in bodies(pushes, readings, zones)]
