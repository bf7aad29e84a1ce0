//! The metrics endpoint.

use http::Request;
use http_body_util::Full;
use smartclean_push::telemetry::{METRICS, MetricDefinition, MetricKind};

use crate::support::{PASSWORD, TestApp, TestResponse, USERNAME, basic};

async fn get(app: &TestApp, password: Option<&str>) -> TestResponse {
    let mut request = Request::get("/metrics");
    if let Some(password) = password {
        request = request.header("authorization", basic(USERNAME, password));
    }
    app.send(request.body(Full::default()).unwrap()).await
}

fn app_with_metrics() -> TestApp {
    let app = TestApp::new();
    TestApp { app: app.app.with_metrics(|| "# EOF\n".to_owned()), ..app }
}

#[tokio::test]
async fn clients_that_may_push_can_read_the_metrics() {
    let answer = get(&app_with_metrics(), Some(PASSWORD)).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.headers["content-type"], "application/openmetrics-text; version=1.0.0; charset=utf-8");
}

#[tokio::test]
async fn other_clients_cannot_read_the_metrics() {
    assert_eq!(get(&app_with_metrics(), None).await.status, 401);
    assert_eq!(get(&app_with_metrics(), Some("guessed")).await.status, 401);
    let post = Request::post("/metrics").header("authorization", basic(USERNAME, PASSWORD));
    assert_eq!(app_with_metrics().send(post.body(Full::default()).unwrap()).await.status, 405);
}

#[tokio::test]
async fn without_metrics_the_path_does_not_exist() {
    assert_eq!(get(&TestApp::new(), Some(PASSWORD)).await.status, 404);
}

#[test]
fn the_page_on_metrics_matches_the_catalogue() {
    let row = |metric: &MetricDefinition| {
        let kind = match metric.kind {
            MetricKind::Counter => "counter",
            MetricKind::Gauge => "gauge",
            MetricKind::Histogram => "histogram",
        };
        let unit = ["ms", "s"].into_iter().find(|unit| metric.name.ends_with(&format!("_{unit}"))).unwrap_or("count");
        format!("| `{}` | {kind} | {unit} | {} |", metric.name, metric.help)
    };
    let page = include_str!("../../docs/metrics.md");
    let rows: Vec<_> = page.lines().filter(|line| line.starts_with("| `")).collect();
    assert_eq!(rows, METRICS.iter().map(row).collect::<Vec<_>>());
}
