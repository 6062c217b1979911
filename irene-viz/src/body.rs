use axum::{
    body::{Body, Bytes},
    extract::Request,
    http::{Method, StatusCode},
};
use futures_util::StreamExt;
use tokio::{sync::OwnedSemaphorePermit, time::timeout};

use crate::{api::READ, app::App, problem::Problem, room::Room};

/// The request with its whole body, and the room that the body takes. A client that is slow to send holds nothing but its own
/// connection: nothing else is taken before the body is here.
pub(crate) async fn read(app: &App, request: Request) -> Result<(Request, Option<OwnedSemaphorePermit>), Problem> {
    if *request.method() != Method::POST {
        return Ok((request, None));
    }
    let (parts, body) = request.into_parts();
    let time = app.limits.body_time;
    let of_file = parts.uri.path() == READ;
    // The first bytes of files take nothing from the room of other bodies.
    let (most, room) = if of_file { (app.limits.file_head, &app.heads) } else { (app.limits.body, &app.bodies) };
    let read = timeout(time, whole(most, room, body)).await.map_err(|_| {
        let detail = format!("the body took more than {} s to come", time.as_secs_f64());
        Problem::new(StatusCode::REQUEST_TIMEOUT, detail)
    });
    let (body, room) = read??;
    Ok((Request::from_parts(parts, Body::from(body)), room))
}

async fn whole(most: usize, bodies: &Room, body: Body) -> Result<(Bytes, Option<OwnedSemaphorePermit>), Problem> {
    let mut chunks = body.into_data_stream();
    let mut whole = Vec::new();
    let mut room: Option<OwnedSemaphorePermit> = None;
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|_| Problem::malformed("the body ends before it is whole"))?;
        if chunk.len() > most.saturating_sub(whole.len()) {
            let detail = format!("the body has more than {most} bytes, which is the most that is read here");
            return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail));
        }
        let more = bodies.take(chunk.len()).ok_or_else(|| {
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "too many requests come with large bodies; try again")
        })?;
        match &mut room {
            Some(room) => room.merge(more),
            None => room = Some(more),
        }
        whole.extend_from_slice(&chunk);
    }
    Ok((whole.into(), room))
}
