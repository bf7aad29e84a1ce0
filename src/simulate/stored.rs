//! What a receiver would store of a push.

use std::slice;

use super::pushes::Push;
use crate::domain::archive::{Metadata, Object, ObjectKey, pack_readings, pack_rejections};
use crate::domain::batch::{BatchId, Items, Rejection};

/// The objects of a push that is received at its moment: readings and rejections, each where there are any. `number` is
/// told as the request's id.
#[must_use]
pub fn objects(push: &Push, number: u64) -> Vec<Object> {
    let id = BatchId::of(&push.body);
    let object = |key, bytes, lines| {
        let (request_id, source) = (format!("simulate-{number}"), "simulate".to_owned());
        Object { key, bytes, metadata: Metadata { received: push.at, request_id, source, lines } }
    };
    let rejected = |rejections: &[Rejection<'_>]| {
        object(ObjectKey::of_rejections(id, push.at), pack_rejections(rejections), rejections.len())
    };
    let items = match Items::split(&push.body) {
        Ok(items) => items,
        Err(fault) => {
            let whole = Rejection { index: None, reason: fault.to_string(), raw: push.body.as_ref().into() };
            return vec![rejected(slice::from_ref(&whole))];
        }
    };
    let batch = items.read();
    let mut objects = Vec::with_capacity(2);
    if !batch.readings.is_empty() {
        let key = ObjectKey::of_readings(id, &batch.readings);
        objects.push(object(key, pack_readings(&batch.readings), batch.readings.len()));
    }
    if !batch.rejections.is_empty() {
        objects.push(rejected(&batch.rejections));
    }
    objects
}
