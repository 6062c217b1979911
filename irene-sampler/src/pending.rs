//! A value that comes later, for tasks and for threads. It needs no runtime.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
    time::Duration,
};

/// A figure that the meters do not know yet.
///
/// It is a [`Future`] for tasks of any runtime, which are woken when the value is there; [`wait`](Self::wait) is for threads, and
/// [`try_get`](Self::try_get) never waits. Dropping it is free.
#[must_use = "the figure is lost when this is dropped"]
pub struct Pending<T>(Arc<Slot<T>>);

/// Gives a [`Pending`] its value.
pub struct Promise<T>(Arc<Slot<T>>);

struct Slot<T> {
    state: Mutex<State<T>>,
    set: Condvar,
}

struct State<T> {
    value: Option<T>,
    waker: Option<Waker>,
}

impl<T> Slot<T> {
    /// Nothing that holds this lock can panic.
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Promise<T> {
    /// A promise, and the value that it is about.
    pub fn new() -> (Self, Pending<T>) {
        let slot = Arc::new(Slot { state: Mutex::new(State { value: None, waker: None }), set: Condvar::new() });
        (Self(Arc::clone(&slot)), Pending(slot))
    }

    /// Gives the value, and wakes whoever waits for it.
    pub fn keep(self, value: T) {
        let mut state = self.0.lock();
        state.value = Some(value);
        let waker = state.waker.take();
        drop(state);
        self.0.set.notify_all();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl<T: Clone> Pending<T> {
    /// The value, if it is there.
    pub fn try_get(&self) -> Option<T> {
        self.0.lock().value.clone()
    }

    /// Waits for the value, for some time at most; None if it did not come.
    pub fn wait(&self, at_most: Duration) -> Option<T> {
        let waited = self.0.set.wait_timeout_while(self.0.lock(), at_most, |state| state.value.is_none());
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        state.value.clone()
    }
}

impl<T: Clone> Future for Pending<T> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let mut state = self.0.lock();
        match &state.value {
            Some(value) => Poll::Ready(value.clone()),
            None => {
                // A task may have moved to another waker since the last poll.
                if !state.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
                    state.waker = Some(cx.waker().clone());
                }
                Poll::Pending
            }
        }
    }
}

impl<T: fmt::Debug> fmt::Debug for Pending<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Pending").field(&self.0.lock().value).finish()
    }
}

impl<T> fmt::Debug for Promise<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Promise")
    }
}
