//! Every device, the worst first: a few with whole charts, the others in rows, the quiet ones folded.

use std::cmp::Reverse;

use super::alerts::{severities, worst_first, worst_of};
use super::html::{Column, Table, badge, name, text};
use super::series::{chart, spark};
use super::view::View;
use super::words::{capitalised, count, counted, plural};
use crate::backtest::findings::{DeviceFindings, Series};

/// Devices that are shown with whole charts.
const SHOWN: usize = 40;
/// Charts of one device at most.
const CHARTS: usize = 3;
/// Part of the room that charts may take; what remains is for names.
const FOR_CHARTS: f64 = 0.75;

/// The section, as long as there is `room` for it, in bytes; `None` where there is no device.
pub(super) fn section(view: &View<'_>, room: usize) -> Option<String> {
    if view.findings.devices.is_empty() {
        return None;
    }
    let (alerting, quiet) = ranked(view);
    let mut listing = Listing { view, room, left_out: 0, html: String::new() };
    let (shown, folded) = alerting.split_at(alerting.len().min(SHOWN));
    for index in shown {
        listing.article(*index);
    }
    listing.folded(folded);
    listing.quiet(&quiet);
    Some(listing.finished())
}

/// What ends a folded table.
const CLOSING: &str = "</tbody></table></div></details>";

/// The devices with alerts, the worst first, and those without any.
fn ranked(view: &View<'_>) -> (Vec<usize>, Vec<usize>) {
    let (mut alerting, mut quiet): (Vec<usize>, Vec<usize>) =
        (0..view.findings.devices.len()).partition(|index| !view.by_device[*index].is_empty());
    alerting.sort_by_cached_key(|index| {
        let alerts = &view.by_device[*index];
        (Reverse((alerts.len(), worst_of(alerts))), view.place(*index).name())
    });
    quiet.sort_by_cached_key(|index| {
        let place = view.place(*index);
        (place.device_title().to_owned(), place.name())
    });
    (alerting, quiet)
}

/// The section as it grows.
struct Listing<'a> {
    view: &'a View<'a>,
    room: usize,
    left_out: usize,
    html: String,
}

impl Listing<'_> {
    fn has_room_for_charts(&self) -> bool {
        #[expect(clippy::cast_precision_loss, reason = "bytes of a page")]
        let is_free = (self.html.len() as f64) < self.room as f64 * FOR_CHARTS;
        is_free
    }

    fn article(&mut self, index: usize) {
        let Some(device) = self.view.device(index) else { return };
        let alerts = &self.view.by_device[index];
        let charts: String = if self.has_room_for_charts() {
            let told = telling(self.view, index, device);
            told.into_iter().map(|series| chart(self.view, &device.place, series, alerts)).collect()
        } else {
            String::new()
        };
        self.push(&format!(
            "<article class=\"device\"><h3>{}</h3><p class=\"note\">{}</p><p>{}</p><figure>{charts}</figure></article>",
            name(&device.place.name()),
            where_it_is(device),
            severities(alerts.iter().copied()),
        ));
    }

    /// Groups by kind, the one with most alerts first; in each the worst device first.
    fn folded(&mut self, devices: &[usize]) {
        let alerts = devices.iter().flat_map(|index| self.view.by_device[*index].iter().copied());
        let kinds = worst_first(alerts, |alert| self.view.place(alert.device).device_title().to_owned());
        for (kind, alerts) in kinds {
            // The alerts came device by device.
            let mut members: Vec<usize> = alerts.iter().map(|alert| alert.device).collect();
            members.dedup();
            let table = Table::new([
                Column::Words("Sensor"),
                Column::Words("Zone"),
                Column::Numbers("Alerts"),
                Column::Words("Worst"),
                Column::Charts("Over time"),
            ]);
            let summary = format!(
                "{}: {} more, {}",
                capitalised(&kind),
                plural(members.len(), "sensor"),
                plural(alerts.len(), "alert")
            );
            self.fold(&summary, &table, &members, |listing, index, device| {
                let alerts = &listing.view.by_device[index];
                let series = telling(listing.view, index, device).into_iter().next();
                let line = series.filter(|_| listing.has_room_for_charts());
                let line = line.map_or_else(String::new, |series| spark(listing.view, &device.place, series, alerts));
                let worst = worst_of(alerts).map_or_else(String::new, badge);
                vec![name(&device.place.name()), zone(device), counted(alerts.len()), worst, line]
            });
        }
    }

    fn quiet(&mut self, devices: &[usize]) {
        if devices.is_empty() {
            return;
        }
        let table = Table::new([
            Column::Words("Sensor"),
            Column::Words("Kind"),
            Column::Words("Zone"),
            Column::Numbers("Readings"),
        ]);
        let summary = format!("{} without an alert", plural(devices.len(), "sensor"));
        self.fold(&summary, &table, devices, |_, _, device| {
            let kind = text(device.place.device_title());
            vec![name(&device.place.name()), kind, zone(device), count(device.readings)]
        });
    }

    fn fold(
        &mut self,
        summary: &str,
        table: &Table,
        devices: &[usize],
        cells: impl Fn(&Self, usize, &DeviceFindings) -> Vec<String>,
    ) {
        let head = format!("<details><summary>{}</summary>{}", text(summary), table.head());
        if self.html.len() + head.len() + CLOSING.len() > self.room {
            self.left_out += devices.len();
            return;
        }
        self.html.push_str(&head);
        self.room -= CLOSING.len();
        for index in devices {
            let Some(device) = self.view.device(*index) else { continue };
            let line = table.line(&cells(self, *index, device));
            self.push(&line);
        }
        self.html.push_str(CLOSING);
        self.room += CLOSING.len();
    }

    /// Adds what is about one device, or counts it as left out.
    fn push(&mut self, piece: &str) {
        if self.html.len() + piece.len() > self.room {
            self.left_out += 1;
        } else {
            self.html.push_str(piece);
        }
    }

    fn finished(self) -> String {
        match self.left_out {
            0 => self.html,
            left => format!(
                "<p class=\"note\">{} left out here, those with the fewest alerts, to keep this page small. They count in everything above.</p>{}",
                if left == 1 { "1 sensor is".to_owned() } else { format!("{} sensors are", counted(left)) },
                self.html
            ),
        }
    }
}

/// The series that tell of a device's alerts, the one with most first; its first one where they tell of none.
fn telling<'a>(view: &View<'_>, index: usize, device: &'a DeviceFindings) -> Vec<&'a Series> {
    let crossed = |series: &Series| {
        let breaches = view.by_device[index].iter().filter_map(|alert| alert.breach.as_ref());
        breaches.filter(|crossing| crossing.metric == series.metric).count()
    };
    let mut told: Vec<(usize, &Series)> = device.series.iter().map(|series| (crossed(series), series)).collect();
    told.sort_by_key(|(alerts, _)| Reverse(*alerts));
    let with_alerts = told.iter().filter(|(alerts, _)| *alerts > 0).count().clamp(1, CHARTS);
    told.into_iter().take(with_alerts).map(|(_, series)| series).collect()
}

fn zone(device: &DeviceFindings) -> String {
    device.place.zone.as_deref().map_or_else(String::new, name)
}

/// "air quality sensor lite · zone01 · project01 · 12,345 readings"
fn where_it_is(device: &DeviceFindings) -> String {
    let place = &device.place;
    let id = place.device.as_deref().filter(|_| place.display.is_some());
    let names = [place.zone.as_deref(), place.project.as_deref(), place.property.as_deref(), id];
    let mut parts = vec![text(place.device_title())];
    parts.extend(names.into_iter().flatten().map(name));
    parts.push(format!("{} readings", count(device.readings)));
    parts.join(" · ")
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::building;
    use super::*;

    #[test]
    fn without_room_charts_go_first_then_devices_and_it_is_said_how_many() {
        let findings = building(120);
        let view = View::of(&findings);
        let of = |room| section(&view, room).unwrap();
        let whole = of(usize::MAX);
        assert!(!whole.contains("left out here"));
        // Charts fit until three quarters are full, and every name does.
        let tight = of(150_000);
        assert!(tight.len() <= 150_000 && !tight.contains("left out here"), "{}", tight.len());
        assert!(tight.matches("<svg").count() < whole.matches("<svg").count() && tight.contains("<svg"));
        let tighter = of(9_000);
        assert!(tighter.len() <= 9_500 && tighter.contains("sensors are left out here"), "{}", tighter.len());
    }
}
