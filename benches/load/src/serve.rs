//! The upstream.

use std::collections::{HashMap, VecDeque};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};

use crate::{Failed, wire};

/// How to answer.
#[derive(Debug)]
pub struct Serving {
    /// On the loopback address.
    pub port: u16,
    /// In the header `x-version` of every answer.
    pub name: String,
    /// How long each answer waits.
    pub delay: Duration,
}

const LISTENER: Token = Token(usize::MAX);
const BODY: &str = r#"{"id":"o-17","state":"paid","total":41.5,"currency":"EUR","items":["seed","bird"],"note":null,"v":1}"#;

struct Connection {
    stream: TcpStream,
    read: Vec<u8>,
    unsent: Vec<u8>,
}

/// An answer that waits.
struct Due {
    at: Instant,
    connection: usize,
}

/// Serves until the process is stopped.
pub fn serve(serving: &Serving) -> Result<(), Failed> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, serving.port));
    let mut poll = Poll::new()?;
    let mut listener = TcpListener::bind(address)?;
    poll.registry()
        .register(&mut listener, LISTENER, Interest::READABLE)?;
    let mut events = Events::with_capacity(1_024);
    let mut connections: HashMap<usize, Connection> = HashMap::new();
    let mut due: VecDeque<Due> = VecDeque::new();
    let mut next = 0;
    loop {
        let wait = due
            .front()
            .map(|due| due.at.saturating_duration_since(Instant::now()));
        match poll.poll(&mut events, wait) {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            polled => polled?,
        }
        for event in &events {
            if event.token() == LISTENER {
                while let Ok((mut stream, _)) = listener.accept() {
                    stream.set_nodelay(true)?;
                    let both = Interest::READABLE | Interest::WRITABLE;
                    poll.registry().register(&mut stream, Token(next), both)?;
                    let (read, unsent) = (Vec::new(), Vec::new());
                    connections.insert(
                        next,
                        Connection {
                            stream,
                            read,
                            unsent,
                        },
                    );
                    next += 1;
                }
                continue;
            }
            let Token(number) = event.token();
            let Some(connection) = connections.get_mut(&number) else {
                continue;
            };
            match connection.requests() {
                Some(requests) => due.extend((0..requests).map(|_| Due {
                    at: Instant::now() + serving.delay,
                    connection: number,
                })),
                None => drop(connections.remove(&number)),
            }
        }
        let now = Instant::now();
        while let Some(answer) = due.pop_front_if(|due| due.at <= now) {
            if let Some(connection) = connections.get_mut(&answer.connection) {
                connection.answer(&serving.name);
            }
        }
    }
}

impl Connection {
    /// How many requests came in whole; none if the caller has gone.
    fn requests(&mut self) -> Option<usize> {
        let stays = wire::read(&mut self.stream, &mut self.read).ok()?;
        wire::write(&mut self.stream, &mut self.unsent).ok()?;
        let mut requests = 0;
        while let Some(head) = wire::head(&self.read) {
            let whole = head + wire::body(&self.read[..head]);
            if self.read.len() < whole {
                break;
            }
            self.read.drain(..whole);
            requests += 1;
        }
        stays.then_some(requests)
    }

    fn answer(&mut self, name: &str) {
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nx-version: {name}\r\n\
             content-length: {}\r\n\r\n",
            BODY.len()
        );
        self.unsent.extend_from_slice(head.as_bytes());
        self.unsent.extend_from_slice(BODY.as_bytes());
        // If the caller has gone, its next event says so.
        let _ = wire::write(&mut self.stream, &mut self.unsent);
    }
}
