//! A web app whose load is told: slow, fast, broken, or silent, on a free loopback port.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    http::{Response, StatusCode},
};
use futures_util::stream;
use tokio::{net::TcpListener, task::JoinHandle};

/// How the app answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answers {
    /// 200 with this body, after so long.
    After(Duration, String),
    /// This status.
    Status(u16),
    /// Never.
    Hangs,
    /// A body of so many bytes.
    Bytes(usize),
}

/// A running app; stops when dropped.
pub struct App {
    address: std::net::SocketAddr,
    state: Arc<Mutex<State>>,
    server: JoinHandle<()>,
}

struct State {
    answers: Answers,
    requests: usize,
}

impl App {
    /// Starts an app that answers so.
    ///
    /// # Panics
    /// When the loopback interface has no free port.
    pub async fn start(answers: Answers) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free loopback port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let state = Arc::new(Mutex::new(State { answers, requests: 0 }));
        let for_handler = state.clone();
        let router = Router::new().fallback(move || answer(for_handler.clone()));
        let server = tokio::spawn(async move {
            // Ends when the test drops the app; until then nothing can stop it.
            let _ = axum::serve(listener, router).await;
        });
        Self { address, state, server }
    }

    /// Its address, `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on it answers so.
    pub fn set(&self, answers: Answers) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).answers = answers;
    }

    /// How many requests it has seen.
    #[must_use]
    pub fn requests(&self) -> usize {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).requests
    }
}

impl Drop for App {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn answer(state: Arc<Mutex<State>>) -> Response<Body> {
    let answers = {
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        state.requests += 1;
        state.answers.clone()
    };
    match answers {
        Answers::After(delay, body) => {
            tokio::time::sleep(delay).await;
            Response::new(Body::from(body))
        }
        Answers::Status(status) => {
            let mut response = Response::new(Body::from("no"));
            *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::IM_A_TEAPOT);
            response
        }
        Answers::Hangs => std::future::pending().await,
        Answers::Bytes(length) => {
            const CHUNK: usize = 64 * 1024;
            let chunks =
                (0..length.div_ceil(CHUNK)).map(|_| Ok::<_, std::io::Error>(bytes::Bytes::from(vec![b'x'; CHUNK])));
            Response::new(Body::from_stream(stream::iter(chunks)))
        }
    }
}
