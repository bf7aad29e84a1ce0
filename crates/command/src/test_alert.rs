//! `test-alert`: one push that raises one harmless alert.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use clap::Args;
use jiff::Timestamp;
use serde_json::{Value, json};
use smartclean_push::domain::display;
use smartclean_push::ingest::ChannelReport;

use crate::Failure;
use crate::endpoint::{Endpoint, PushResponse};
use crate::output::print;

/// How long the channels of a server may take. One of them may wait for a receiver that does not answer.
const LONGEST_DELIVERY: Duration = Duration::from_secs(60);

/// Send one harmless alert through a running endpoint, to test that it reaches your email and phone
///
/// Pushes one reading of a made-up device. The built-in rule `test-alert` raises an alert of severity medium, which is sent
/// by email and SMS unless `sms_from` in the rules is above medium. The username and password come from PUSH_USERNAME and
/// PUSH_PASSWORD.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  PUSH_USERNAME=smartclean PUSH_PASSWORD=… smartclean-push test-alert http://127.0.0.1:8080/push
  make test-alert        # for the deployed stack: finds its URL and credentials by itself")]
pub(super) struct TestAlertCommand {
    /// Push URL, with the path that SmartClean is given
    #[arg(value_name = "URL")]
    url: String,
}

impl TestAlertCommand {
    pub(super) fn run(self) -> Result<(), Failure> {
        let endpoint = Endpoint::open(&self.url, 1)?;
        let before = endpoint.channels();
        let response = endpoint.push(batch(Timestamp::now()).as_bytes());
        let PushResponse { status, body, .. } = response.map_err(|error| endpoint.unreachable(&error))?;
        if let Some(failure) = endpoint.rejection(status) {
            return Err(failure);
        }
        let body: Value = serde_json::from_str(&body).unwrap_or_default();
        match (status, body["alerts"].as_u64()) {
            (200, Some(1..)) if before.is_some() => delivered(&endpoint, &before.unwrap_or_default()),
            (200, Some(1..)) => {
                print(
                    "The endpoint raised the test alert. It should reach every confirmed email address and phone number within a \
                     minute.\nIf it does not: is the subscription confirmed? For SMS: is the account out of the SMS sandbox, and \
                     `sms_from` in the rules not above medium?\n",
                );
                Ok(())
            }
            (200, Some(0)) => Err(Failure::new(
                "the endpoint took the push, but raised no alert: is the rule `test-alert` disabled in its rules file, or \
                 outside its active hours?",
            )),
            _ => {
                let detail = body["detail"].as_str().or(body["message"].as_str()).unwrap_or("no reason given");
                let detail: String = display::line(detail).chars().take(300).collect();
                Err(Failure::new(format!("the endpoint answered {status}: {detail}")))
            }
        }
    }
}

/// Waits until each channel of a server has tried to send the alert, and prints what happened.
fn delivered(endpoint: &Endpoint, before: &BTreeMap<String, ChannelReport>) -> Result<(), Failure> {
    let attempts = |report: Option<&ChannelReport>| report.map_or(0, |report| report.sent + report.failed);
    let deadline = Instant::now() + LONGEST_DELIVERY;
    loop {
        let now = endpoint.channels().unwrap_or_default();
        let is_tried = |name: &String| attempts(now.get(name)) > attempts(before.get(name));
        let is_over = Instant::now() >= deadline;
        if !is_over && !before.keys().all(is_tried) {
            std::thread::sleep(Duration::from_millis(200));
            continue;
        }
        let mut failed = Vec::new();
        for name in before.keys() {
            let report = now.get(name).filter(|_| is_tried(name));
            print(format_args!("{name}: {}\n", report.map_or("no attempt within a minute", |report| &report.last)));
            if report.map(|report| report.failed) != before.get(name).map(|report| report.failed) {
                failed.push(name.as_str());
            }
        }
        return match failed[..] {
            [] if before.keys().all(|name| name == "log") => Err(Failure::new(
                "the alert is in the log alone, so nobody is notified; add [email] or [webhook] to the rules file: \
                 docs/operate.md, \"Own server: who is told\"",
            )),
            [] => Ok(()),
            _ => Err(Failure::new(format!("{} did not send the test alert; the server retries", failed.join(" and ")))),
        };
    }
}

/// A push of one reading at `now`: two tests are two readings.
fn batch(now: Timestamp) -> String {
    let reading = json!({
        "DevType": "SMARTCLEAN-PUSH#TEST",
        "DEVID": "smartclean-push-test",
        "Display": "Test alert",
        "unixT": now.as_millisecond(),
        "v": { "test": 1 },
    });
    json!([reading.to_string()]).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use smartclean_push::domain::batch::Items;
    use smartclean_push::domain::engine::evaluate;
    use smartclean_push::domain::rules::RuleSet;
    use smartclean_push::domain::state::ZoneState;

    #[test]
    fn each_test_raises_the_test_alert_and_no_other() {
        let mut state = ZoneState::default();
        for second in [0, 1, 3600] {
            let now = Timestamp::from_second(1_800_000_000 + second).unwrap();
            let body = batch(now);
            let items = Items::split(body.as_bytes()).unwrap();
            let readings = items.read().readings;
            let evaluation = evaluate(&RuleSet::pack(), state, &[&readings[0]], now, now);
            let rules: Vec<_> = evaluation.state.rule_states.keys().map(String::as_str).collect();
            assert_eq!((evaluation.stats.alerts, rules), (1, vec!["test-alert"]), "{second}");
            state = evaluation.state;
        }
    }
}
