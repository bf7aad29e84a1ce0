//! What a receiver would store of a push.

use std::slice;

use super::pushes::Push;
use domain::archive::{Metadata, Object};
use domain::batch::{BatchId, Items, RejectedPart, Rejection};

/// The objects of a push that is received at its moment: readings and rejections, each where there are any. `number` is
/// told as the request's id.
#[must_use]
pub fn objects(push: &Push, number: u64) -> Vec<Object> {
    let id = BatchId::of(&push.body);
    let metadata = || Metadata {
        received: push.at,
        request_id: format!("simulate-{number}"),
        source: "simulate".to_owned(),
        lines: 0,
    };
    let items = match Items::split(&push.body) {
        Ok(items) => items,
        Err(fault) => {
            let whole =
                Rejection { part: RejectedPart::Body, reason: fault.to_string(), raw: push.body.as_ref().into() };
            return vec![Object::of_rejections(id, slice::from_ref(&whole), metadata())];
        }
    };
    let batch = items.read();
    let mut objects = Vec::with_capacity(2);
    if !batch.readings.is_empty() {
        objects.push(Object::of_readings(id, &batch.readings, metadata()));
    }
    if !batch.rejections.is_empty() {
        objects.push(Object::of_rejections(id, &batch.rejections, metadata()));
    }
    objects
}
