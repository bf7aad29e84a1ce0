//! What was measured, told to whoever may push.

use http::Request;
use http_body_util::Full;
use smartclean_push::telemetry::{Exposition, Kind, METRICS, Unit};

use crate::support::{Answer, PASSWORD, TestApp, USERNAME, basic};

#[derive(Debug)]
struct FixedMetrics;

impl Exposition for FixedMetrics {
    fn text(&self) -> String {
        "# EOF\n".to_owned()
    }
}

async fn get(app: &TestApp, password: Option<&str>) -> Answer {
    let mut request = Request::get("/metrics");
    if let Some(password) = password {
        request = request.header("authorization", basic(USERNAME, password));
    }
    app.send(request.body(Full::default()).unwrap()).await
}

fn app_with_metrics() -> TestApp {
    let app = TestApp::new();
    TestApp { app: app.app.with_metrics(Box::new(FixedMetrics)), ..app }
}

#[tokio::test]
async fn who_may_push_may_see_what_was_measured() {
    let answer = get(&app_with_metrics(), Some(PASSWORD)).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.headers["content-type"], "application/openmetrics-text; version=1.0.0; charset=utf-8");
}

#[tokio::test]
async fn nobody_else_may() {
    assert_eq!(get(&app_with_metrics(), None).await.status, 401);
    assert_eq!(get(&app_with_metrics(), Some("guessed")).await.status, 401);
    let post = Request::post("/metrics").header("authorization", basic(USERNAME, PASSWORD));
    assert_eq!(app_with_metrics().send(post.body(Full::default()).unwrap()).await.status, 405);
}

#[tokio::test]
async fn where_nothing_is_told_there_is_no_such_page() {
    assert_eq!(get(&TestApp::new(), Some(PASSWORD)).await.status, 404);
}

#[test]
fn the_page_names_every_metric_as_it_is() {
    let row = |metric: &smartclean_push::telemetry::Metric| {
        let kind = match metric.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        let unit = match metric.unit {
            Unit::Count => "count",
            Unit::Seconds => "s",
            Unit::Milliseconds => "ms",
        };
        format!("| `{}` | {kind} | {unit} | {} |", metric.name, metric.help)
    };
    let page = include_str!("../../docs/metrics.md");
    let told: Vec<_> = page.lines().filter(|line| line.starts_with("| `")).collect();
    assert_eq!(told, METRICS.iter().map(row).collect::<Vec<_>>());
}
