//! Group commit: work that costs as much for many callers as for one, such as a disk's confirmation.
//!
//! A disk confirms a limited number of writes per second, one after the other, whether each holds one push or a hundred. All
//! callers that wait while one group is committed form the next group.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};

use tokio::sync::oneshot;

/// Most jobs of a group.
const MAX_GROUP: usize = 512;

/// A job, and the channel for its result.
type QueuedJob<J, R> = (J, oneshot::Sender<R>);

/// A thread that processes jobs in groups. Dropping this waits until all queued jobs are done.
#[derive(Debug)]
pub(super) struct GroupCommit<J, R> {
    queue: Option<Sender<QueuedJob<J, R>>>,
    thread: Option<JoinHandle<()>>,
}

/// The thread ended before the job was done, because an earlier job panicked.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the thread that commits has ended")]
pub(super) struct ThreadEndedError;

impl<J: Send + 'static, R: Send + 'static> GroupCommit<J, R> {
    /// Starts the thread. `commit` processes a group of jobs and returns their results in the same order.
    pub(super) fn new(commit: impl FnMut(Vec<J>) -> Vec<R> + Send + 'static) -> Self {
        let (sender, receiver) = channel();
        Self { queue: Some(sender), thread: Some(thread::spawn(move || commit_groups(&receiver, commit))) }
    }

    /// Adds a job to the next group, and returns its result.
    ///
    /// # Errors
    /// [`ThreadEndedError`]. A retry cannot help.
    pub(super) async fn run(&self, job: J) -> Result<R, ThreadEndedError> {
        let (sender, result) = oneshot::channel();
        let queue = self.queue.as_ref().ok_or(ThreadEndedError)?;
        queue.send((job, sender)).map_err(|_| ThreadEndedError)?;
        result.await.map_err(|_| ThreadEndedError)
    }
}

impl<J, R> Drop for GroupCommit<J, R> {
    fn drop(&mut self) {
        drop(self.queue.take());
        // A panic of the thread was reported to its callers.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn commit_groups<J, R>(queue: &Receiver<QueuedJob<J, R>>, mut commit: impl FnMut(Vec<J>) -> Vec<R>) {
    while let Ok(first) = queue.recv() {
        let group = std::iter::once(first).chain(queue.try_iter().take(MAX_GROUP - 1));
        let (jobs, senders): (Vec<J>, Vec<_>) = group.unzip();
        for (sender, result) in senders.into_iter().zip(commit(jobs)) {
            // A caller that was cancelled no longer receives; its job is done all the same.
            let _ = sender.send(result);
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
    async fn callers_that_wait_for_one_group_form_the_next_and_get_their_own_results() {
        let (go, blocked) = mpsc::channel::<()>();
        let sizes = Arc::new(Mutex::new(Vec::new()));
        let recorded = Arc::clone(&sizes);
        let commits = GroupCommit::new(move |jobs: Vec<usize>| {
            blocked.recv().unwrap();
            recorded.lock().unwrap().push(jobs.len());
            jobs.into_iter().map(|job| job * 2).collect()
        });
        let all = join_all((0..100).map(|job| commits.run(job)));
        let unblock = async {
            // Polled after the others: all of them wait by now.
            go.send(()).unwrap();
            go.send(()).unwrap();
            drop(go);
        };
        let (results, ()) = tokio::join!(all, unblock);
        let results: Vec<_> = results.into_iter().map(Result::unwrap).collect();
        assert_eq!(results, (0..100).map(|job| job * 2).collect::<Vec<_>>());
        let sizes = sizes.lock().unwrap().clone();
        assert!(sizes.len() <= 2 && sizes.iter().sum::<usize>() == 100, "{sizes:?}");
    }

    #[tokio::test]
    async fn a_panic_is_an_error_for_waiting_and_later_callers() {
        let commits: GroupCommit<(), ()> = GroupCommit::new(|_| panic!("a bug"));
        assert!(commits.run(()).await.is_err());
        assert!(commits.run(()).await.is_err());
    }

    #[tokio::test]
    async fn queued_jobs_are_done_before_it_is_dropped() {
        let done = Arc::new(Mutex::new(0));
        let counted = Arc::clone(&done);
        let commits = GroupCommit::new(move |jobs: Vec<()>| {
            *counted.lock().unwrap() += jobs.len();
            jobs
        });
        let mut run = Box::pin(commits.run(()));
        // Sent, but not awaited.
        assert!(run.as_mut().now_or_never().is_none() || *done.lock().unwrap() == 1);
        drop(run);
        drop(commits);
        assert_eq!(*done.lock().unwrap(), 1);
    }
}
