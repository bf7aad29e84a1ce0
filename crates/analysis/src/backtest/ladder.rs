//! Limits worth trying: the round numbers that people choose, around the ones in force.

use domain::device::Unit;

/// The round numbers of a decade.
const STEPS: [f64; 14] = [1.0, 1.25, 1.5, 1.75, 2.0, 2.5, 3.0, 3.5, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0];
/// How far from the limit in force, as a factor.
const REACH: f64 = 8.0;

/// Round numbers from an eighth of the limits in force to eight times them, and those limits themselves; in rising order.
/// None where the metric is no quantity: yes and no have no other limit.
pub(super) fn ladder(limits: &[f64], unit: Unit) -> Vec<f64> {
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
        // Through text, because 7 × 0.1 is 0.7000000000000001.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_in_force_are_among_round_numbers_around_them() {
        let limits = ladder(&[200.0, 500.0], Unit::Ppb);
        assert_eq!(limits.first(), Some(&25.0));
        assert_eq!(limits.last(), Some(&4000.0));
        for limit in [40.0, 175.0, 200.0, 250.0, 500.0, 900.0] {
            assert!(limits.contains(&limit), "{limit}: {limits:?}");
        }
        assert!(ladder(&[0.7], Unit::Ppm).contains(&0.7) && ladder(&[0.123], Unit::Ppm).contains(&0.123));
        assert!(ladder(&[-60.0], Unit::DecibelMilliwatt).contains(&-70.0));
    }

    #[test]
    fn a_share_is_never_above_a_hundred_and_yes_or_no_has_no_other_limit() {
        assert_eq!(ladder(&[15.0], Unit::Percent).last(), Some(&100.0));
        assert!(ladder(&[1.0], Unit::Flag).is_empty() && ladder(&[0.0], Unit::One).is_empty());
        assert!(ladder(&[], Unit::One).is_empty());
    }
}
