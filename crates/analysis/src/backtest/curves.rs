//! Curves: for each limit worth trying the alerts a week, a suggested limit, and the devices that need one of their own.

use super::findings::{CurvePoint, DeviceCurve};
use domain::breach::Comparison;
use domain::device::Unit;

/// A device differs from the others if it has more than so many times the alerts of one of them.
const MUCH_MORE: f64 = 3.0;
/// Most differing devices of a curve.
const MAX_DIFFERING: usize = 20;

/// The round numbers of a decade.
const STEPS: [f64; 14] = [1.0, 1.25, 1.5, 1.75, 2.0, 2.5, 3.0, 3.5, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0];
/// The furthest limit to try, as a factor of the limit in force.
const REACH: f64 = 8.0;

/// The alerts of a device at each limit.
pub(super) struct DeviceAlerts {
    /// The index of the device.
    pub(super) device: usize,
    /// Alerts by limit.
    pub(super) alerts: Vec<u64>,
}

/// Limits to try, in rising order: the limits in force, and round numbers from an eighth to eight times of them. Empty if the
/// metric is a flag.
pub(super) fn limits_around(limits: &[f64], unit: Unit) -> Vec<f64> {
    let sizes = || limits.iter().map(|limit| limit.abs()).filter(|size| *size > 0.0);
    let (Some(least), Some(greatest)) = (sizes().reduce(f64::min), sizes().reduce(f64::max)) else { return Vec::new() };
    if unit == Unit::Flag {
        return Vec::new();
    }
    let most = if unit == Unit::Percent { 100.0_f64.max(greatest) } else { greatest * REACH };
    let sign = if limits.iter().any(|limit| *limit < 0.0) { -1.0 } else { 1.0 };
    let from = (least / REACH).log10().floor();
    let mut all: Vec<f64> = limits.to_vec();
    let mut exponent = from;
    while 10.0_f64.powf(exponent) <= most {
        // Through text: 7 × 0.1 is 0.7000000000000001.
        let round = |step: &f64| format!("{step}e{exponent}").parse::<f64>().unwrap_or(*step);
        all.extend(
            STEPS.iter().map(round).filter(|size| (least / REACH..=most).contains(size)).map(|size| sign * size),
        );
        exponent += 1.0;
    }
    all.sort_by(f64::total_cmp);
    all.dedup();
    all
}

/// The points of a curve.
pub(super) fn points(limits: &[f64], alerts: &[u64], weeks: f64) -> Vec<CurvePoint> {
    let point =
        |(limit, alerts): (&f64, &u64)| CurvePoint { limit: *limit, alerts: *alerts, a_week: *alerts as f64 / weeks };
    limits.iter().zip(alerts).map(point).collect()
}

/// Alerts by limit of all devices together.
pub(super) fn total(devices: &[DeviceAlerts], limits: usize) -> Vec<u64> {
    let mut total = vec![0; limits];
    for device in devices {
        total.iter_mut().zip(&device.alerts).for_each(|(total, alerts)| *total += alerts);
    }
    total
}

/// The limit nearest to `limit` that makes at most `wanted` alerts a week, and at most half as many as `limit`. `None` if `limit`
/// makes few enough, or no limit does.
pub(super) fn suggestion(points: &[CurvePoint], limit: f64, comparison: Comparison, wanted: f64) -> Option<CurvePoint> {
    let at = points.iter().position(|point| point.limit >= limit)?;
    if points[at].a_week <= wanted {
        return None;
    }
    let most = wanted.min(points[at].a_week / 2.0);
    let few_enough = |point: &&CurvePoint| point.a_week <= most;
    match comparison {
        Comparison::Above | Comparison::AtLeast | Comparison::Deviates => points[at..].iter().find(few_enough),
        Comparison::Below | Comparison::AtMost => points[..at].iter().rev().find(few_enough),
    }
    .copied()
}

/// Devices with many more alerts than the others at the limit in force, and more than one a week; the worst first.
pub(super) fn differing(
    devices: &[DeviceAlerts],
    limits: &[f64],
    limit: f64,
    comparison: Comparison,
    weeks: f64,
) -> Vec<DeviceCurve> {
    let Some(at) = limits.iter().position(|known| *known >= limit) else { return Vec::new() };
    let all: u64 = devices.iter().map(|device| device.alerts[at]).sum();
    let mut differing: Vec<(u64, DeviceCurve)> = Vec::new();
    for device in devices.iter().filter(|_| devices.len() > 1) {
        let own = device.alerts[at];
        let (own_a_week, of_another) = (own as f64 / weeks, (all - own) as f64 / weeks / (devices.len() - 1) as f64);
        if own_a_week <= 1.0 || own_a_week <= MUCH_MORE * of_another {
            continue;
        }
        let points = points(limits, &device.alerts, weeks);
        let suggestion = suggestion(&points, limit, comparison, of_another.max(1.0));
        differing.push((own, DeviceCurve { device: device.device, points, suggestion }));
    }
    differing.sort_by_key(|(own, curve)| (std::cmp::Reverse(*own), curve.device));
    differing.into_iter().take(MAX_DIFFERING).map(|(_, curve)| curve).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: [f64; 4] = [100.0, 150.0, 200.0, 300.0];

    fn suggested(alerts: [u64; 4], limit: f64, comparison: Comparison, wanted: f64) -> Option<f64> {
        suggestion(&points(&LIMITS, &alerts, 1.0), limit, comparison, wanted).map(|point| point.limit)
    }

    #[test]
    fn the_nearest_limit_with_few_enough_alerts_is_suggested() {
        let rising = [90, 40, 7, 1];
        assert_eq!(suggested(rising, 100.0, Comparison::AtLeast, 7.0), Some(200.0));
        assert_eq!(suggested(rising, 100.0, Comparison::AtLeast, 6.9), Some(300.0));
        let falling = [1, 7, 40, 90];
        assert_eq!(suggested(falling, 300.0, Comparison::Below, 7.0), Some(150.0));
    }

    #[test]
    fn nothing_is_suggested_if_the_limit_is_good_or_none_is() {
        assert_eq!(suggested([90, 40, 7, 1], 200.0, Comparison::AtLeast, 7.0), None);
        assert_eq!(suggested([90, 80, 70, 60], 100.0, Comparison::AtLeast, 7.0), None);
        assert_eq!(suggested([9, 7, 6, 5], 100.0, Comparison::AtLeast, 7.0), None, "it is hardly any better");
    }

    #[test]
    fn a_device_with_most_of_the_alerts_gets_a_limit_of_its_own() {
        let of = |device, alerts: [u64; 4]| DeviceAlerts { device, alerts: alerts.to_vec() };
        let devices = [of(0, [2, 1, 0, 0]), of(1, [30, 20, 1, 0]), of(2, [2, 1, 1, 0])];
        let named = differing(&devices, &LIMITS, 100.0, Comparison::AtLeast, 1.0);
        assert_eq!(named.len(), 1);
        assert_eq!((named[0].device, named[0].suggestion.unwrap().limit), (1, 200.0));
        assert_eq!(total(&devices, 4), [34, 22, 2, 0]);
    }

    #[test]
    fn no_device_differs_if_all_have_similar_numbers_or_there_is_one() {
        let of = |device, alerts: [u64; 4]| DeviceAlerts { device, alerts: alerts.to_vec() };
        let differing = |devices: &[DeviceAlerts]| differing(devices, &LIMITS, 100.0, Comparison::AtLeast, 1.0).len();
        assert_eq!(differing(&[of(0, [30, 0, 0, 0]), of(1, [28, 0, 0, 0])]), 0);
        assert_eq!(differing(&[of(0, [1, 0, 0, 0]), of(1, [0, 0, 0, 0])]), 0);
        assert_eq!(differing(&[of(0, [30, 0, 0, 0])]), 0);
    }

    #[test]
    fn limits_in_force_are_among_round_numbers_around_them() {
        let limits = limits_around(&[200.0, 500.0], Unit::Ppb);
        assert_eq!(limits.first(), Some(&25.0));
        assert_eq!(limits.last(), Some(&4000.0));
        for limit in [40.0, 175.0, 200.0, 250.0, 500.0, 900.0] {
            assert!(limits.contains(&limit), "{limit}: {limits:?}");
        }
        assert!(limits_around(&[0.7], Unit::Ppm).contains(&0.7) && limits_around(&[0.123], Unit::Ppm).contains(&0.123));
        assert!(limits_around(&[-60.0], Unit::DecibelMilliwatt).contains(&-70.0));
    }

    #[test]
    fn a_percentage_is_at_most_a_hundred_and_a_flag_has_no_other_limit() {
        assert_eq!(limits_around(&[15.0], Unit::Percent).last(), Some(&100.0));
        assert!(limits_around(&[1.0], Unit::Flag).is_empty() && limits_around(&[0.0], Unit::One).is_empty());
        assert!(limits_around(&[], Unit::One).is_empty());
    }
}
