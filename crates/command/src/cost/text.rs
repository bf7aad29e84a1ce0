//! A bill as a table for a terminal.

use analysis::cost::prices::PricedItem;
use analysis::cost::workload::MONTH;
use analysis::cost::{Bill, BillLine, Workload, assumptions};
use analysis::words::count;

use crate::columns::columns;

/// The bill; with `explain` how each amount comes about.
pub(super) fn text(bill: &Bill, explain: bool) -> String {
    let mut text = heading(bill) + &table(bill);
    if bill.lines.iter().any(|line| line.item.checked.is_none() && line.amount > 0.0) {
        text += "* of this size as far as we know; look at AWS's page (--explain) before you rely on it\n";
    }
    if let Some(BillLine { item, cost, .. }) = bill.dominating() {
        let (cost, total, share) = (dollars(*cost), dollars(bill.total), share(*cost, bill));
        text += &format!("\nWhat dominates: {} of {}, {cost} of {total} ({share}).\n", item.what, item.service);
    }
    if explain { text + &explanation(bill) } else { text }
}

fn heading(bill: &Bill) -> String {
    let Workload { devices, interval, batch, .. } = bill.workload;
    let free = if bill.free_tier { "less the free tier" } else { "without free tier" };
    format!(
        "{} devices, a reading of each every {interval:#}, {batch} in a push: {} readings in {} pushes a month, {} a second\n\
         {}, list prices of {} in US dollars, {free}, without tax\n\n",
        whole(devices),
        amount(bill.readings),
        amount(bill.pushes),
        amount(bill.pushes / MONTH),
        bill.region,
        bill.prices_of,
    )
}

/// The services, the most expensive first, each with its lines.
fn table(bill: &Bill) -> String {
    let row = |cells: [&str; 5]| cells.map(str::to_owned).to_vec();
    let mut rows = vec![row(["", "a month", "price", "cost", "share"])];
    let is_used = |service: &str| bill.lines.iter().any(|line| line.item.service == service && line.amount > 0.0);
    for (service, cost) in bill.services().into_iter().filter(|(service, _)| is_used(service)) {
        rows.push(row([service, "", "", &dollars(cost), &share(cost, bill)]));
        let mut lines: Vec<_> =
            bill.lines.iter().filter(|line| line.item.service == service && line.amount > 0.0).collect();
        lines.sort_by(|a, b| b.cost.total_cmp(&a.cost));
        rows.extend(lines.into_iter().map(|line| {
            row([&format!("  {}", line.item.what), &amount(line.amount), &price(line), &dollars(line.cost), ""])
        }));
    }
    rows.push(row(["total", "", "", &dollars(bill.total), ""]));
    columns(&rows)
}

fn explanation(bill: &Bill) -> String {
    let row = |what: String, value: &str, source: &str| vec![format!("  {what}"), value.to_owned(), source.to_owned()];
    let name = |item: &PricedItem| format!("{}: {}", item.service, item.what);
    let items = || bill.lines.iter().map(|line| line.item);
    let checked = |item: &'static PricedItem| item.checked.as_deref().unwrap_or("not found published, an estimate");
    let amounts: Vec<_> = items().map(|item| row(name(item), &item.how, "")).collect();
    let prices: Vec<_> = items().map(|item| row(name(item), checked(item), &item.page)).collect();
    let assumed = assumptions::ALL.iter().map(|assumption| {
        let value = format!("{} {}", amount(assumption.value), assumption.unit);
        row(assumption.what.to_owned(), value.trim_end(), assumption.source)
    });
    let stored = assumptions::STORED.iter().map(|(batch, bytes)| {
        let what = format!("a reading as it is stored with {batch} in an object");
        row(what, &format!("{} bytes", amount(*bytes)), assumptions::SENT.source)
    });
    let assumed: Vec<_> = assumed.chain(stored).collect();
    format!(
        "\nHow each amount comes about\n{}\nWhere each price was checked\n{}\nWhat is assumed\n{}",
        columns(&amounts),
        columns(&prices),
        columns(&assumed)
    )
}

/// Dollars and cents; whole dollars from a thousand on.
fn dollars(amount: f64) -> String {
    if amount >= 999.995 { whole(amount) } else { format!("{amount:.2}") }
}

/// An amount: whole from a hundred on, else with at most two decimals.
fn amount(amount: f64) -> String {
    if amount >= 99.995 {
        return whole(amount);
    }
    let text = format!("{amount:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn whole(amount: f64) -> String {
    count(amount.round() as u64)
}

fn price(line: &BillLine) -> String {
    let mut price = format!("{:.4}", line.price);
    while price.ends_with('0') && !price.ends_with(".00") && price.len() > "0.00".len() {
        price.pop();
    }
    let star = if line.item.checked.is_some() { "" } else { "*" };
    format!("{price} {}{star}", line.item.each)
}

fn share(cost: f64, bill: &Bill) -> String {
    format!("{:.0} %", 100.0 * cost / bill.total.max(f64::MIN_POSITIVE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_numbers_are_whole_and_small_ones_have_two_decimals() {
        assert_eq!([0.0, 0.0834, 12.5, 99.0, 350_400.4].map(amount), ["0", "0.08", "12.5", "99", "350,400"]);
        assert_eq!([0.0, 0.004, 12.5, 999.99, 999.996].map(dollars), ["0.00", "0.00", "12.50", "999.99", "1,000"]);
    }
}
