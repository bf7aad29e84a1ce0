"""Only a successful sweep calls the heartbeat URL."""

import http.server
import ssl
import threading

import pytest
from test_stack import reading


class Service(http.server.ThreadingHTTPServer):
    """A server that records calls and responds with `status`."""

    def __init__(self, aws):
        self.calls, self.status = [], 200
        service = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                service.calls.append(self.path)
                self.send_response(service.status)
                self.end_headers()

            def log_message(self, *_):
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        # The certificate that the deployed function trusts.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(aws.certificate, aws.certificate.with_name("key.pem"))
        self.socket = context.wrap_socket(self.socket, server_side=True)


@pytest.fixture
def service(stack):
    service = Service(stack.aws)
    threading.Thread(target=service.serve_forever, daemon=True).start()
    stack.deploy_with(HeartbeatUrl=f"https://127.0.0.1:{service.server_port}/ping/id")
    yield service
    stack.operator.deploy_without("HeartbeatUrl")
    service.shutdown()


def test_successful_sweep_calls_the_heartbeat_and_pushes_do_not(stack, service):
    assert stack.push(reading(1)).status_code == 200
    stack.sweep()
    assert service.calls and set(service.calls) == {"/ping/id"}
    with stack.without_permission("dynamodb:Query"):
        before = len(service.calls)
        assert "errorMessage" in stack.sweep()
        assert len(service.calls) == before


def test_failed_heartbeat_does_not_fail_the_sweep(stack, service):
    service.status = 503
    assert stack.sweep()["failed"] == 0
    assert service.calls
