//! A bill as a table for a terminal.

use analysis::cost::workload::MONTH;
use analysis::cost::{Bill, Line, Workload, assumptions};
use analysis::report::count;

use crate::columns::columns;

/// The whole; with `explain` where the numbers are from.
pub(super) fn text(bill: &Bill, explain: bool) -> String {
    let mut text = heading(bill);
    text += &table(bill);
    if bill.lines.iter().any(|line| !line.item.is_confirmed) {
        text += "* of this size as far as we know; look at AWS's page (--explain) before you rely on it\n";
    }
    if let Some(Line { item, cost, .. }) = bill.dominating() {
        let (cost, total, share) = (dollars(*cost), dollars(bill.total), share(*cost, bill));
        text += &format!("\nWhat dominates: {} of {}, {cost} of {total} ({share}).\n", item.what, item.service);
    }
    if explain {
        text += &explained(bill);
    }
    text
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
        bill.region.code(),
        bill.prices_of,
    )
}

/// Each service, the dearest first, and below it its lines.
fn table(bill: &Bill) -> String {
    let mut rows = vec![["", "a month", "price", "cost", "share"].map(str::to_owned).to_vec()];
    let blank = String::new;
    for (service, cost) in bill.services() {
        rows.push(vec![service.to_owned(), blank(), blank(), dollars(cost), share(cost, bill)]);
        let mut lines: Vec<&Line> =
            bill.lines.iter().filter(|line| line.item.service == service && line.amount > 0.0).collect();
        lines.sort_by(|a, b| b.cost.total_cmp(&a.cost));
        rows.extend(lines.into_iter().map(|line| {
            vec![format!("  {}", line.item.what), amount(line.amount), price(line), dollars(line.cost), blank()]
        }));
    }
    rows.push(vec!["total".to_owned(), blank(), blank(), dollars(bill.total), blank()]);
    columns(&rows)
}

fn explained(bill: &Bill) -> String {
    let mut text = "\nHow each amount comes about\n".to_owned();
    let rows: Vec<_> = bill
        .lines
        .iter()
        .map(|Line { item, .. }| {
            vec![format!("  {}: {}", item.service, item.what), item.how.to_owned(), item.page.to_owned()]
        })
        .collect();
    text += &columns(&rows);
    text += "\nWhat is assumed\n";
    let mut rows: Vec<_> = assumptions::ALL
        .iter()
        .map(|given| {
            let value = format!("{} {}", amount(given.value), given.unit);
            vec![format!("  {}", given.what), value.trim_end().to_owned(), given.source.to_owned()]
        })
        .collect();
    rows.extend(assumptions::STORED.iter().map(|(batch, bytes)| {
        let what = format!("  a reading as it is stored with {batch} in an object");
        vec![what, format!("{} bytes", amount(*bytes)), assumptions::SENT.source.to_owned()]
    }));
    text + &columns(&rows)
}

/// Dollars: whole ones where there are a thousand of them.
fn dollars(amount: f64) -> String {
    if amount >= 999.995 { whole(amount) } else { format!("{amount:.2}") }
}

/// An amount with as many digits as say something.
fn amount(amount: f64) -> String {
    if amount >= 99.995 {
        return whole(amount);
    }
    let text = format!("{amount:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn whole(amount: f64) -> String {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates, and is not negative")]
    let whole = amount.round() as u64;
    count(whole)
}

fn price(line: &Line) -> String {
    let mut price = format!("{:.4}", line.price);
    while price.ends_with('0') && !price.ends_with(".00") && price.len() > "0.00".len() {
        price.pop();
    }
    let star = if line.item.is_confirmed { "" } else { "*" };
    format!("{price} {}{star}", line.item.each)
}

fn share(cost: f64, bill: &Bill) -> String {
    format!("{:.0} %", 100.0 * cost / bill.total.max(f64::MIN_POSITIVE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_as_many_digits_as_say_something() {
        assert_eq!([0.0, 0.0834, 12.5, 99.0, 350_400.4].map(amount), ["0", "0.08", "12.5", "99", "350,400"]);
        assert_eq!([0.0, 0.004, 12.5, 999.99, 999.996].map(dollars), ["0.00", "0.00", "12.50", "999.99", "1,000"]);
    }
}
