//! The load.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};
use serde_json::{Value, json};

use crate::{Failed, processor, wire};

/// What to ask for.
#[derive(Debug)]
pub struct Driving {
    /// On the loopback address.
    pub port: u16,
    /// The process whose time is taken; 0 for none.
    pub pid: u32,
    /// How many requests.
    pub requests: u64,
    /// How many are due each second; without, the loop is closed.
    pub rate: Option<f64>,
    /// Connections.
    pub connections: usize,
    /// Different callers.
    pub users: u64,
    /// Of the order in which they come.
    pub seed: u64,
}

const TIMER: Token = Token(usize::MAX);
/// Without an answer for so long, something is wrong.
const PATIENCE: Duration = Duration::from_secs(30);

struct Connection {
    stream: TcpStream,
    read: Vec<u8>,
    unsent: Vec<u8>,
    /// When the request that it waits for was due.
    due: Option<Instant>,
}

/// What came back.
#[derive(Default)]
struct Came {
    answers: u64,
    failures: u64,
    canary: u64,
    nanos: Vec<u64>,
}

struct Load<'d> {
    driving: &'d Driving,
    requests: Vec<Vec<u8>>,
    random: fastrand::Rng,
    connections: Vec<Connection>,
    idle: Vec<usize>,
    came: Came,
}

/// Runs the load; gives one line of JSON.
pub fn drive(driving: &Driving) -> Result<Value, Failed> {
    let mut poll = Poll::new()?;
    let mut load = Load::new(driving, &poll)?;
    // Each connection's first request opens it all the way; none of them is measured.
    let connections = driving.connections as u64;
    load.closed(&mut poll, connections)?;
    load.came = Came::default();
    let before = processor::spent(driving.pid)?;
    let began = Instant::now();
    match driving.rate {
        None => load.closed(&mut poll, driving.requests)?,
        Some(rate) => load.open(&mut poll, rate)?,
    }
    let took = began.elapsed();
    let after = processor::spent(driving.pid)?;
    Ok(load.came.told(took, &processor::between(&before, &after)))
}

/// A caller's request, as its browser sends it.
fn request(user: u64) -> Vec<u8> {
    let id = user.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let id = format!(
        "{:08x}-{:04x}-4{:03x}-9a10-5e8f2b7d4c31",
        id >> 32,
        (id >> 16) & 0xffff,
        id & 0xfff
    );
    format!(
        "GET /checkout/pay?step=2 HTTP/1.1\r\nhost: shop.example.com\r\n\
         user-agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n\
         accept: application/json, text/plain, */*\r\naccept-language: en-GB,en;q=0.7\r\n\
         accept-encoding: gzip, deflate, br\r\ncookie: theme=dark; session_id=k3JwqZ0m7a\r\n\
         x-tenant: acme\r\nx-user-id: {id}\r\n\r\n"
    )
    .into_bytes()
}

impl<'d> Load<'d> {
    fn new(driving: &'d Driving, poll: &Poll) -> Result<Self, Failed> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, driving.port));
        let mut connections = Vec::new();
        for number in 0..driving.connections {
            // Connected before it is watched: a refusal is told here.
            let stream = std::net::TcpStream::connect(address)?;
            stream.set_nodelay(true)?;
            stream.set_nonblocking(true)?;
            let mut stream = TcpStream::from_std(stream);
            let both = Interest::READABLE | Interest::WRITABLE;
            poll.registry().register(&mut stream, Token(number), both)?;
            connections.push(Connection {
                stream,
                read: Vec::new(),
                unsent: Vec::new(),
                due: None,
            });
        }
        Ok(Self {
            driving,
            requests: (0..driving.users).map(request).collect(),
            random: fastrand::Rng::with_seed(driving.seed),
            idle: (0..connections.len()).collect(),
            connections,
            came: Came::default(),
        })
    }

    fn closed(&mut self, poll: &mut Poll, requests: u64) -> Result<(), Failed> {
        let mut events = Events::with_capacity(1_024);
        let mut sent = 0;
        while self.came.answers < requests {
            while sent < requests
                && let Some(number) = self.idle.pop()
            {
                self.send(number, Instant::now())?;
                sent += 1;
            }
            self.wait(poll, &mut events)?;
        }
        Ok(())
    }

    fn open(&mut self, poll: &mut Poll, rate: f64) -> Result<(), Failed> {
        let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK)?;
        let number = timer.as_raw_fd();
        poll.registry()
            .register(&mut SourceFd(&number), TIMER, Interest::READABLE)?;
        let mut events = Events::with_capacity(1_024);
        let began = Instant::now();
        let due_at = |number: u64| began + Duration::from_secs_f64(number as f64 / rate);
        let (mut due, mut waiting) = (0, VecDeque::new());
        while self.came.answers < self.driving.requests {
            let now = Instant::now();
            while due < self.driving.requests && due_at(due) <= now {
                waiting.push_back(due_at(due));
                due += 1;
            }
            while !waiting.is_empty()
                && let Some(number) = self.idle.pop()
            {
                self.send(number, waiting.pop_front().unwrap_or(now))?;
            }
            if due < self.driving.requests {
                let left = due_at(due).saturating_duration_since(Instant::now());
                let left = left.max(Duration::from_nanos(1));
                let once = Itimerspec {
                    it_interval: Timespec {
                        tv_sec: 0,
                        tv_nsec: 0,
                    },
                    it_value: Timespec::try_from(left)?,
                };
                timerfd_settime(&timer, TimerfdTimerFlags::empty(), &once)?;
            }
            self.wait(poll, &mut events)?;
        }
        Ok(())
    }

    fn send(&mut self, number: usize, due: Instant) -> Result<(), Failed> {
        let user = self.random.usize(..self.requests.len());
        let connection = &mut self.connections[number];
        connection.due = Some(due);
        connection.unsent.extend_from_slice(&self.requests[user]);
        wire::write(&mut connection.stream, &mut connection.unsent)?;
        Ok(())
    }

    /// Waits for events, and takes the answers in.
    fn wait(&mut self, poll: &mut Poll, events: &mut Events) -> Result<(), Failed> {
        match poll.poll(events, Some(PATIENCE)) {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => return Ok(()),
            polled => polled?,
        }
        if events.is_empty() {
            return Err(format!("no answer for {PATIENCE:?}").into());
        }
        for event in events.iter().filter(|event| event.token() != TIMER) {
            let Token(number) = event.token();
            let connection = &mut self.connections[number];
            wire::write(&mut connection.stream, &mut connection.unsent)?;
            let stays = wire::read(&mut connection.stream, &mut connection.read)?;
            if let Some(due) = connection.answered(&mut self.came) {
                let nanos = due.elapsed().as_nanos();
                self.came
                    .nanos
                    .push(u64::try_from(nanos).unwrap_or(u64::MAX));
                self.idle.push(number);
            }
            if !stays {
                return Err("the proxy closed a connection".into());
            }
        }
        Ok(())
    }
}

impl Connection {
    /// Whether the answer is whole: when its request was due.
    fn answered(&mut self, came: &mut Came) -> Option<Instant> {
        let head = wire::head(&self.read)?;
        let whole = head + wire::body(&self.read[..head]);
        if self.read.len() < whole {
            return None;
        }
        let text = &self.read[..head];
        came.answers += 1;
        came.failures += u64::from(!text.starts_with(b"HTTP/1.1 200"));
        came.canary += u64::from(wire::header(text, "x-version") == Some("v2"));
        self.read.drain(..whole);
        self.due.take()
    }
}

impl Came {
    fn told(mut self, took: Duration, spent: &processor::Spent) -> Value {
        self.nanos.sort_unstable();
        let at = |share: f64| {
            let last = self.nanos.len().saturating_sub(1);
            let place = (last as f64 * share).round() as usize;
            self.nanos.get(place).copied().unwrap_or(0)
        };
        json!({
            "requests": self.answers,
            "failures": self.failures,
            "canary": self.canary,
            "seconds": took.as_secs_f64(),
            "p50_ns": at(0.5),
            "p99_ns": at(0.99),
            "max_ns": at(1.0),
            "spent_ns": spent,
        })
    }
}
