//! The events of a job, for a client that follows it: `GET jobs/{id}/events`.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    extract::State,
    http::StatusCode,
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use futures_util::stream::unfold;
use tokio::{
    sync::{OwnedSemaphorePermit, watch},
    time::sleep,
};

use super::{
    Shared,
    fields::Params,
    jobs::{JobEntry, Named},
    queries::Nothing,
};
use crate::{
    jobs::{Job, Status},
    problem::Problem,
};

pub(super) async fn events(
    State(app): Shared,
    Named { job, .. }: Named,
    Params(Nothing): Params<Nothing>,
) -> Result<Response, Problem> {
    let Ok(permit) = Arc::clone(&app.followers).try_acquire_owned() else {
        let most = app.limits.followers;
        let detail =
            format!("{most} clients follow jobs already, and no more may; GET /api/v1/jobs/{} tells too", job.id);
        return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail));
    };
    let follower = Follower { status: job.watch(), job, is_first: true, _permit: permit };
    let events = unfold(Some(follower), |follower| async {
        let (event, follower) = follower?.next().await;
        Some((Ok::<_, Infallible>(event), follower))
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::default()).into_response())
}

/// A client that follows a job.
struct Follower {
    job: Arc<Job>,
    status: watch::Receiver<Status>,
    is_first: bool,
    _permit: OwnedSemaphorePermit,
}

/// The pause between two events; changes within it come as one.
const PAUSE: Duration = Duration::from_millis(100);

impl Follower {
    /// The next event, and the follower for the event after it.
    async fn next(mut self) -> (Event, Option<Self>) {
        if !self.is_first {
            sleep(PAUSE).await;
            // The job has the sender, so that it stays.
            let _ = self.status.changed().await;
        }
        self.is_first = false;
        let status = self.status.borrow_and_update().clone();
        let is_last = status.state.is_final();
        let event = Event::default().event(if is_last { "end" } else { "progress" });
        // A job is always JSON.
        let event = event.json_data(JobEntry::brief(&self.job, status)).unwrap_or_default();
        (event, (!is_last).then_some(self))
    }
}
