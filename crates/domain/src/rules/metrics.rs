//! Checks the metrics of a rule: its device types report the metric, in that unit and range.

use super::compile::RuleCompiler;
use super::diagnostic::{Positioned, nearest};
use super::values::LimitDraft;
use super::{Kind, Level};
use crate::breach::Comparison;
use crate::device::{DEVICE_TYPES, DeviceType, Metric, Unit};

impl RuleCompiler<'_> {
    /// Reports a limit that no plausible value breaches: the rule would never fire. A sum can reach any limit.
    pub(super) fn check_reachable(&mut self, metric: &str, limit: &LimitDraft) {
        if self.kind == Kind::Accumulate || limit.comparison == Comparison::Deviates {
            return;
        }
        let metrics: Vec<&Metric> = self.device_types().iter().filter_map(|of| of.metric(metric)).collect();
        for Level { limit: level, .. } in &limit.levels {
            let is_breached = |value: &f64| limit.comparison.is_breached(*value, *level);
            let is_reachable = |of: &&Metric| is_breached(of.plausible.start()) || is_breached(of.plausible.end());
            if let Some(metric) = metrics.first().filter(|_| !metrics.iter().any(is_reachable)) {
                let (least, most) = (metric.plausible.start(), metric.plausible.end());
                let message = format!("no value breaches `{} = {level}`", limit.comparison);
                let range = format!("`{}` is from {least} to {most} {}", metric.key, metric.unit.symbol());
                self.diagnostics.suggest(&limit.position, message, range.trim());
            }
        }
    }

    /// The documented types in the rule's scope.
    fn device_types(&self) -> Vec<&'static DeviceType> {
        let is_in_scope = |of: &&DeviceType| self.types.is_empty() || self.types.iter().any(|name| name == of.name);
        DEVICE_TYPES.iter().filter(is_in_scope).collect()
    }

    /// Reports a metric that the rule's types do not report, or not in that unit.
    pub(super) fn check_metric(&mut self, metric: &Positioned<String>, unit: Option<&Positioned<String>>) {
        let Positioned { value: key, position } = metric;
        let device_types = self.device_types();
        if self.types.is_empty() && device_types.iter().all(|of| of.metric(key).is_none()) {
            let message = format!("no device type has a metric `{key}`");
            self.diagnostics.report(position, message, suggest_metric(key, &device_types));
        }
        for device_type in &device_types {
            let Some(metric) = device_type.metric(key) else {
                if !self.types.is_empty() {
                    let message = format!("unknown metric `{key}` of {}", device_type.name);
                    self.diagnostics.report(position, message, suggest_metric(key, &[device_type]));
                }
                continue;
            };
            if let Some(Positioned { value: unit, position }) = unit.filter(|unit| !is_unit(&unit.value, metric.unit)) {
                let symbol = Some(metric.unit.symbol()).filter(|symbol| !symbol.is_empty()).unwrap_or("no unit");
                let message = format!("`{key}` of {} is in {symbol}, not {unit}", device_type.name);
                self.diagnostics.report(position, message, None);
            }
        }
    }
}

fn is_unit(written: &str, unit: Unit) -> bool {
    // The Greek mu and the micro sign look alike and are two characters.
    let written = written.trim().replace('\u{3bc}', "\u{b5}");
    written == unit.symbol() || written == unit.gsm_symbol()
}

/// The metric with a similar key or with a label that contains the word; for one device type, else all of its keys.
fn suggest_metric(written: &str, device_types: &[&DeviceType]) -> Option<String> {
    let metrics = || device_types.iter().flat_map(|device_type| device_type.metrics);
    let word = written.to_lowercase();
    if word == "occ" && metrics().any(|metric| metric.key == "occupied") {
        return Some("use `occupied`, 1 for yes: `occ` means opposite things on different sensors".to_owned());
    }
    metrics()
        .find(|metric| metric.label.split([' ', ',']).any(|part| part.eq_ignore_ascii_case(&word)))
        .map(|metric| format!("did you mean `{}`?", metric.key))
        .or_else(|| nearest(written, metrics().map(|metric| metric.key)))
        .or_else(|| {
            let [device_type] = device_types else { return None };
            let keys: Vec<_> = device_type.metrics.iter().map(|metric| metric.key).collect();
            Some(format!("it has: {}", keys.join(", ")))
        })
}
