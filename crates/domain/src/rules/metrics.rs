//! Whether a rule can compare what it says it compares: its device types report the metric, in that unit and range.

use super::compile::RuleCompiler;
use super::diagnostic::{Diagnostics, Positioned, nearest};
use super::draft::LimitDraft;
use super::{Kind, Level};
use crate::breach::Comparison;
use crate::device::{DEVICE_TYPES, DeviceType, Metric, Unit};

impl RuleCompiler<'_> {
    /// A limit that no plausible value breaks would keep its rule silent. A sum may reach any.
    pub(super) fn check_reachable(&self, metric: &str, limit: &LimitDraft, diagnostics: &mut Diagnostics) {
        if self.kind == Kind::Accumulate || limit.comparison == Comparison::Deviates {
            return;
        }
        let known: Vec<&Metric> = self.device_types().iter().filter_map(|of| of.metric(metric)).collect();
        for Level { limit: level, .. } in &limit.levels {
            let breaks = |value: &f64| limit.comparison.is_broken(*value, *level);
            let is_reachable =
                known.iter().any(|metric| breaks(metric.plausible.start()) || breaks(metric.plausible.end()));
            if let Some(metric) = known.first().filter(|_| !is_reachable) {
                let (least, most) = (metric.plausible.start(), metric.plausible.end());
                let message = format!("no value breaks `{} = {level}`", limit.key);
                let range = format!("`{}` is from {least} to {most} {}", metric.key, metric.unit.symbol());
                diagnostics.suggest(&limit.position, message, range.trim());
            }
        }
    }

    /// The documented types to which the rule applies.
    fn device_types(&self) -> Vec<&'static DeviceType> {
        DEVICE_TYPES
            .iter()
            .filter(|of| self.types.is_empty() || self.types.iter().any(|name| name == of.name))
            .collect()
    }

    /// Whether the rule's types report such a metric, and in that unit.
    pub(super) fn check_metric(
        &self,
        metric: &Positioned<String>,
        unit: Option<&Positioned<String>>,
        diagnostics: &mut Diagnostics,
    ) {
        let (anywhere, candidates) = (self.types.is_empty(), self.device_types());
        if anywhere && candidates.iter().all(|device_type| device_type.metric(&metric.value).is_none()) {
            let message = format!("no device type has a metric `{}`", metric.value);
            diagnostics.maybe_suggest(&metric.position, message, suggest_metric(&metric.value, &candidates));
        }
        for device_type in candidates.iter().filter(|_| !anywhere) {
            if device_type.metric(&metric.value).is_none() {
                let message = format!("unknown metric `{}` of {}", metric.value, device_type.name);
                diagnostics.maybe_suggest(&metric.position, message, suggest_metric(&metric.value, &[device_type]));
            }
        }
        let Some(unit) = unit else { return };
        for (device_type, metric) in candidates.iter().filter_map(|kind| kind.metric(&metric.value).map(|m| (kind, m)))
        {
            if !is_unit(&unit.value, metric.unit) {
                let symbol = Some(metric.unit.symbol()).filter(|symbol| !symbol.is_empty()).unwrap_or("no unit");
                let message = format!("`{}` of {} is in {symbol}, not {}", metric.key, device_type.name, unit.value);
                diagnostics.maybe_suggest(&unit.position, message, suggest_conversion(&unit.value, metric.unit));
            }
        }
    }
}

fn is_unit(written: &str, unit: Unit) -> bool {
    // The Greek mu and the micro sign look the same and are two characters.
    let written = written.trim().replace('\u{3bc}', "\u{b5}");
    written == unit.symbol() || written == unit.gsm_symbol()
}

fn suggest_conversion(written: &str, unit: Unit) -> Option<String> {
    match (written.trim(), unit) {
        ("ppm", Unit::Ppb) => Some("1 ppm is 1,000 ppb".to_owned()),
        ("ppb", Unit::Ppm) => Some("1,000 ppb is 1 ppm".to_owned()),
        ("V", Unit::Millivolt) => Some("1 V is 1,000 mV".to_owned()),
        _ => None,
    }
}

/// A metric by a name near to its key, or by what a person calls it.
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
