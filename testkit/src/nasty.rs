//! A server that misbehaves on purpose, on a free loopback port: what an HTTP client must survive without inventing
//! anything. It writes bytes and knows no HTTP, so that it can also be wrong.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::{JoinHandle, JoinSet},
};

/// What the server does with every request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Does {
    /// Writes exactly this, then closes. `{address}` becomes the server's own `host:port`.
    Says(String),
    /// Writes exactly this and waits for the next request on the same connection.
    SaysAndStays(String),
    /// Reads and never answers.
    Hangs,
    /// Closes without an answer.
    Closes,
    /// Begins a body and resets the connection in its middle.
    Resets,
    /// Begins a body and closes before its end.
    Truncates,
    /// Answers at once, but for the last byte of the body, which comes after this time.
    Dawdles(Duration),
    /// A body without end, a byte at a time.
    Trickles,
    /// A body without end, as fast as it goes.
    Floods,
}

impl Does {
    /// A whole answer with this status line and body.
    #[must_use]
    pub fn answer(status: &str, body: &str) -> Self {
        Self::Says(format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len()))
    }

    /// A redirect to this location.
    #[must_use]
    pub fn redirect(location: &str) -> Self {
        let head =
            format!("HTTP/1.1 302 Found\r\nlocation: {location}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        Self::Says(head)
    }
}

/// The running server; stops when dropped.
pub struct Nasty {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    server: JoinHandle<()>,
}

struct State {
    does: Does,
    heads: Vec<String>,
    connections: usize,
}

impl Nasty {
    /// Starts a server that does this.
    ///
    /// # Panics
    /// When the loopback interface has no free port.
    pub async fn start(does: Does) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free loopback port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let state = Arc::new(Mutex::new(State { does, heads: Vec::new(), connections: 0 }));
        let server = tokio::spawn(serve(listener, address, state.clone()));
        Self { address, state, server }
    }

    /// `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From the next request on it does this.
    pub fn set(&self, does: Does) {
        lock(&self.state).does = does;
    }

    /// The heads of all requests so far, as they came.
    #[must_use]
    pub fn heads(&self) -> Vec<String> {
        lock(&self.state).heads.clone()
    }

    /// How many connections were opened.
    #[must_use]
    pub fn connections(&self) -> usize {
        lock(&self.state).connections
    }
}

impl Drop for Nasty {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// A loopback URL where nobody listens.
///
/// # Panics
/// When the loopback interface has no free port.
#[must_use]
pub fn refusing_url() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free loopback port");
    format!("http://{}", listener.local_addr().expect("a bound socket has an address"))
}

fn lock(state: &Mutex<State>) -> std::sync::MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn serve(listener: TcpListener, address: SocketAddr, state: Arc<Mutex<State>>) {
    // Dropped with the server's task, and all conversations with it.
    let mut conversations = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        lock(&state).connections += 1;
        let state = state.clone();
        conversations.spawn(async move {
            // The client may leave at any time; that is its right.
            let _ = converse(stream, address, &state).await;
        });
    }
}

async fn converse(mut stream: TcpStream, address: SocketAddr, state: &Mutex<State>) -> std::io::Result<()> {
    const BEGUN: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n123";
    const ENDLESS: &[u8] = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    while let Some(head) = read_head(&mut stream).await? {
        let does = {
            let mut state = lock(state);
            state.heads.push(head);
            state.does.clone()
        };
        match does {
            Does::SaysAndStays(text) => stream.write_all(text.as_bytes()).await?,
            Does::Says(text) => {
                stream.write_all(text.replace("{address}", &address.to_string()).as_bytes()).await?;
                return stream.shutdown().await;
            }
            Does::Hangs => std::future::pending().await,
            Does::Closes => return Ok(()),
            Does::Resets => {
                stream.write_all(BEGUN).await?;
                // Lets the client read what was written before the reset overtakes it.
                tokio::time::sleep(Duration::from_millis(20)).await;
                return stream.set_zero_linger();
            }
            Does::Truncates => {
                stream.write_all(BEGUN).await?;
                return stream.shutdown().await;
            }
            Does::Dawdles(time) => {
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n1").await?;
                tokio::time::sleep(time).await;
                stream.write_all(b"2").await?;
            }
            Does::Trickles => {
                stream.write_all(ENDLESS).await?;
                loop {
                    stream.write_all(b"1\r\n1\r\n").await?;
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            }
            Does::Floods => {
                stream.write_all(ENDLESS).await?;
                let chunk = format!("10000\r\n{}\r\n", "1".repeat(0x10000));
                loop {
                    stream.write_all(chunk.as_bytes()).await?;
                }
            }
        }
    }
    Ok(())
}

/// The head of the next request; none when the client is gone.
async fn read_head(stream: &mut TcpStream) -> std::io::Result<Option<String>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if stream.read(&mut byte).await? == 0 {
            return Ok(None);
        }
        const TLS_HANDSHAKE: u8 = 0x16;
        if head.is_empty() && byte[0] == TLS_HANDSHAKE {
            // As nginx does: plain words to whoever speaks TLS on a plain port.
            stream.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n").await?;
            return Ok(None);
        }
        head.extend(byte);
    }
    Ok(Some(String::from_utf8_lossy(&head).into_owned()))
}
