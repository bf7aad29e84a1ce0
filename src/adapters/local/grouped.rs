//! Work that costs as much for many as for one: what a disk has to confirm.
//!
//! A disk confirms so many writes a second, one after the other, whether each is of one push or of a hundred. So whoever waits
//! while one group is under way makes up the next.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};

use tokio::sync::oneshot;

/// Most jobs of a group.
const MOST: usize = 512;

/// A job, and where its outcome goes.
type Waiting<J, O> = (J, oneshot::Sender<O>);

/// A thread that does jobs in groups. It ends with this, once what was asked for is done.
#[derive(Debug)]
pub(super) struct Grouped<J, O> {
    waiting: Option<Sender<Waiting<J, O>>>,
    thread: Option<JoinHandle<()>>,
}

/// The thread ended before the job was done, which only a panic of its work brings about.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the thread that does this work has ended")]
pub(super) struct Ended;

impl<J: Send + 'static, O: Send + 'static> Grouped<J, O> {
    /// Does groups of jobs by `work`, which gives the outcome of each in their order.
    pub(super) fn by(work: impl FnMut(Vec<J>) -> Vec<O> + Send + 'static) -> Self {
        let (sender, receiver) = channel();
        Self { waiting: Some(sender), thread: Some(thread::spawn(move || do_groups(&receiver, work))) }
    }

    /// The outcome of one job.
    ///
    /// # Errors
    /// [`Ended`]. A retry cannot help.
    pub(super) async fn work(&self, job: J) -> Result<O, Ended> {
        let (answer, outcome) = oneshot::channel();
        let waiting = self.waiting.as_ref().ok_or(Ended)?;
        waiting.send((job, answer)).map_err(|_| Ended)?;
        outcome.await.map_err(|_| Ended)
    }
}

impl<J, O> Drop for Grouped<J, O> {
    fn drop(&mut self) {
        drop(self.waiting.take());
        // A panic there was told to those who waited.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn do_groups<J, O>(waiting: &Receiver<Waiting<J, O>>, mut work: impl FnMut(Vec<J>) -> Vec<O>) {
    while let Ok(first) = waiting.recv() {
        let group = std::iter::once(first).chain(waiting.try_iter().take(MOST - 1));
        let (jobs, answers): (Vec<J>, Vec<_>) = group.unzip();
        for (answer, outcome) in answers.into_iter().zip(work(jobs)) {
            // Who does not wait any more has given up; it is done all the same.
            let _ = answer.send(outcome);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::sync::{Arc, Mutex};

    use futures_util::FutureExt as _;
    use futures_util::future::join_all;

    use super::*;

    #[tokio::test]
    async fn who_waits_while_one_group_is_under_way_makes_up_the_next_and_gets_its_own_outcome() {
        let (go, held) = mpsc::channel::<()>();
        let sizes = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&sizes);
        let grouped = Grouped::by(move |jobs: Vec<usize>| {
            held.recv().unwrap();
            noted.lock().unwrap().push(jobs.len());
            jobs.into_iter().map(|job| job * 2).collect()
        });
        let all = join_all((0..100).map(|job| grouped.work(job)));
        let opening = async {
            // Polled after the others: all of them wait by now.
            go.send(()).unwrap();
            go.send(()).unwrap();
            drop(go);
        };
        let (outcomes, ()) = tokio::join!(all, opening);
        let outcomes: Vec<_> = outcomes.into_iter().map(Result::unwrap).collect();
        assert_eq!(outcomes, (0..100).map(|job| job * 2).collect::<Vec<_>>());
        let sizes = sizes.lock().unwrap().clone();
        assert!(sizes.len() <= 2 && sizes.iter().sum::<usize>() == 100, "{sizes:?}");
    }

    #[tokio::test]
    async fn a_panic_is_an_error_to_those_who_wait_and_to_all_who_come_later() {
        let grouped: Grouped<(), ()> = Grouped::by(|_| panic!("a fault of ours"));
        assert!(grouped.work(()).await.is_err());
        assert!(grouped.work(()).await.is_err());
    }

    #[tokio::test]
    async fn what_was_asked_for_is_done_before_it_ends() {
        let done = Arc::new(Mutex::new(0));
        let counted = Arc::clone(&done);
        let grouped = Grouped::by(move |jobs: Vec<()>| {
            *counted.lock().unwrap() += jobs.len();
            jobs
        });
        let mut asked = Box::pin(grouped.work(()));
        // Sent, and not waited for.
        assert!(asked.as_mut().now_or_never().is_none() || *done.lock().unwrap() == 1);
        drop(asked);
        drop(grouped);
        assert_eq!(*done.lock().unwrap(), 1);
    }
}
