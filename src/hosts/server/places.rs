//! Places for connections: so many at a time. Where all are taken, who has kept us waiting longest gives way, so that
//! clients which open connections and say nothing keep nobody else out.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

/// How long a client may keep us waiting before it can be made to give way. Headers and small bodies take milliseconds;
/// who connects, connects again within seconds.
const AT_LEAST: Duration = Duration::from_secs(1);
/// How often it is looked again whether somebody can give way, where nobody leaves by himself.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// All places of a server.
#[derive(Debug)]
pub(super) struct Places {
    most: usize,
    taken: Mutex<Taken>,
    freed: Notify,
}

#[derive(Debug, Default)]
struct Taken {
    next: u64,
    by: BTreeMap<u64, Arc<Guest>>,
}

/// Who has a place.
#[derive(Debug)]
struct Guest {
    /// Since when we wait for it; `None` while it waits for us.
    awaited: Mutex<Option<Instant>>,
    asked_to_leave: Notify,
}

/// A connection's place. It is free again once this is dropped.
#[derive(Debug)]
pub(super) struct Place {
    number: u64,
    guest: Arc<Guest>,
    places: Arc<Places>,
}

impl Places {
    /// So many places.
    pub(super) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, taken: Mutex::default(), freed: Notify::new() })
    }

    /// A place, as soon as there is one.
    pub(super) async fn take(self: &Arc<Self>) -> Place {
        loop {
            if let Some(place) = self.try_take() {
                return place;
            }
            let _ = tokio::time::timeout(LOOK_AGAIN, self.freed.notified()).await;
        }
    }

    /// A free place, or that of whom we have waited for longest.
    fn try_take(self: &Arc<Self>) -> Option<Place> {
        let mut taken = self.taken();
        if taken.by.len() >= self.most {
            let longest = taken.by.iter().filter_map(|(number, guest)| Some((guest.awaited()?, *number))).min();
            let (_, number) = longest.filter(|(since, _)| since.elapsed() >= AT_LEAST)?;
            let guest = taken.by.remove(&number)?;
            guest.asked_to_leave.notify_one();
        }
        let number = taken.next;
        taken.next += 1;
        let guest = Arc::new(Guest { awaited: Mutex::new(Some(Instant::now())), asked_to_leave: Notify::new() });
        taken.by.insert(number, Arc::clone(&guest));
        drop(taken);
        Some(Place { number, guest, places: Arc::clone(self) })
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Guest {
    fn awaited(&self) -> Option<Instant> {
        *self.awaited.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// From now on we wait for the client: for a request, or for the rest of one.
    pub(super) fn await_client(&self) {
        *self.guest.awaited.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// From now on the client waits for us, and keeps its place until it is answered.
    pub(super) fn serve(&self) {
        *self.guest.awaited.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Completes when the place is needed for somebody else.
    pub(super) async fn asked_to_leave(&self) {
        self.guest.asked_to_leave.notified().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.taken().by.remove(&self.number);
        self.places.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether somebody gets a place within a second and a half.
    async fn gets_in(places: &Arc<Places>) -> Option<Place> {
        tokio::time::timeout(AT_LEAST * 3 / 2, places.take()).await.ok()
    }

    async fn is_asked_to_leave(place: &Place) -> bool {
        tokio::time::timeout(Duration::from_millis(1), place.asked_to_leave()).await.is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_kept_us_waiting_longest_gives_way_and_no_other() {
        let places = Places::new(3);
        let [oldest, second, third] = [places.take().await, places.take().await, places.take().await];
        tokio::time::advance(Duration::from_millis(400)).await;
        // It has said something meanwhile.
        oldest.await_client();
        let _newest = gets_in(&places).await.unwrap();
        assert!(is_asked_to_leave(&second).await);
        assert!(!is_asked_to_leave(&oldest).await && !is_asked_to_leave(&third).await);
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_gives_way_within_a_second_or_while_being_served() {
        let places = Places::new(2);
        let (served, silent) = (places.take().await, places.take().await);
        served.serve();
        let began = Instant::now();
        let _place = gets_in(&places).await.unwrap();
        assert!(began.elapsed() >= AT_LEAST);
        assert!(is_asked_to_leave(&silent).await && !is_asked_to_leave(&served).await);
    }

    #[tokio::test(start_paused = true)]
    async fn where_all_are_being_served_one_waits_until_a_place_is_free() {
        let places = Places::new(1);
        let served = places.take().await;
        served.serve();
        assert!(gets_in(&places).await.is_none());
        drop(served);
        assert!(gets_in(&places).await.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn there_are_never_more_places_than_that() {
        let places = Places::new(4);
        let mut taken = Vec::new();
        for _ in 0..40 {
            taken.push(places.take().await);
            assert!(places.taken().by.len() <= 4);
        }
        drop(taken);
        assert!(places.taken().by.is_empty());
    }
}
