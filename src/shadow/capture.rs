//! One answer as it comes, chunk by chunk, and what became of a call.
//!
//! The host tells of four ends of a call. It may refuse the call; give no headers at all (the
//! answer broke off, took too long after its headers, or was larger than the host holds); answer
//! itself with 503 or 504, which it does without `x-envoy-upstream-service-time`; or hand over what
//! the upstream said. A version that accepts a request and then breaks off or does not answer in
//! time has failed, and failing is a difference. A way there that is blocked (no host, the circuit
//! breaker, nobody listening) says nothing about the version.

use super::compare::{self, Response};

/// Bytes of header and trailer lines kept of one answer. Only lines that a comparison reads are kept
/// at all, and proxies pass on 60 KiB; what is over is dropped, of all answers alike.
const MOST_LINES: usize = 65_536;

/// One header or trailer line, as the host gives it.
pub type Line<'a> = (&'a [u8], &'a [u8]);

/// An answer, or as much of one as is compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    status: u16,
    headers: Vec<(String, Vec<u8>)>,
    trailers: Vec<(String, Vec<u8>)>,
    body: Body,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Body {
    Whole(Vec<u8>),
    /// It was longer than is compared: nothing of it is kept.
    Truncated,
}

impl Answer {
    /// The beginning of an answer: of `lines` what a comparison reads.
    pub fn begin<'a>(
        status: u16,
        lines: impl IntoIterator<Item = Line<'a>>,
        settings: &compare::Settings,
    ) -> Self {
        let mut answer = Self {
            status,
            headers: Vec::new(),
            trailers: Vec::new(),
            body: Body::Whole(Vec::new()),
        };
        keep(&mut answer.headers, lines, settings);
        answer
    }

    /// A call that failed: its status is all that there is. 0 if there was not even one.
    fn failure(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            trailers: Vec::new(),
            body: Body::Truncated,
        }
    }

    /// Its trailers.
    pub fn trailers<'a>(
        &mut self,
        lines: impl IntoIterator<Item = Line<'a>>,
        settings: &compare::Settings,
    ) {
        keep(&mut self.trailers, lines, settings);
    }

    /// The next chunk of its body, if `most` bytes allow; else the body is given up.
    pub fn chunk(&mut self, chunk: &[u8], most: usize) {
        if let Body::Whole(bytes) = &mut self.body {
            if chunk.len() > most.saturating_sub(bytes.len()) {
                self.truncate();
            } else {
                bytes.extend_from_slice(chunk);
            }
        }
    }

    /// Gives the body up: only status and headers are compared.
    pub fn truncate(&mut self) {
        self.body = Body::Truncated;
    }

    /// Whether the body was given up.
    pub fn is_truncated(&self) -> bool {
        self.body == Body::Truncated
    }

    /// The bytes that it holds.
    pub fn held(&self) -> usize {
        let body = match &self.body {
            Body::Whole(bytes) => bytes.len(),
            Body::Truncated => 0,
        };
        body.saturating_add(size(&self.headers))
            .saturating_add(size(&self.trailers))
    }

    /// As a comparison wants it.
    pub fn response(&self) -> Response<'_> {
        Response {
            status: self.status,
            headers: &self.headers,
            body: match &self.body {
                Body::Whole(bytes) => Some(bytes),
                Body::Truncated => None,
            },
            trailers: &self.trailers,
        }
    }
}

fn size(lines: &[(String, Vec<u8>)]) -> usize {
    lines.iter().fold(0, |sum, (name, value)| {
        sum.saturating_add(name.len()).saturating_add(value.len())
    })
}

fn keep<'a>(
    kept: &mut Vec<(String, Vec<u8>)>,
    lines: impl IntoIterator<Item = Line<'a>>,
    settings: &compare::Settings,
) {
    let mut room = MOST_LINES.saturating_sub(size(kept));
    for (name, value) in lines {
        let Ok(name) = std::str::from_utf8(name) else {
            continue;
        };
        let size = name.len().saturating_add(value.len());
        if settings.reads_header(name) && size <= room {
            room = room.saturating_sub(size);
            kept.push((name.to_owned(), value.to_vec()));
        }
    }
}

/// What the host hands over when a call ends.
#[derive(Debug, Clone, Copy, Default)]
pub struct Received<'a> {
    /// Header lines, `:status` among them; none if there are none.
    pub headers: &'a [Line<'a>],
    /// The body, or its beginning.
    pub body: &'a [u8],
    /// How long the body is as a whole.
    pub body_size: usize,
    /// Trailer lines.
    pub trailers: &'a [Line<'a>],
}

/// What became of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The host refused it.
    NotSent,
    /// It ended without headers.
    Reset,
    /// The proxy answered itself: the way there is blocked.
    Blocked,
    /// The proxy answered itself with this status: the upstream took the request and failed.
    Failed(u16),
    /// The upstream answered.
    Answered(Answer),
}

/// How a call ended, for counting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Ended {
    /// See [`Outcome::NotSent`].
    NotSent,
    /// See [`Outcome::Reset`].
    Reset,
    /// See [`Outcome::Blocked`].
    Blocked,
    /// See [`Outcome::Failed`].
    Failed,
    /// See [`Outcome::Answered`].
    Answered,
}

impl Ended {
    /// All ends, in the order in which they are documented and kept.
    pub const ALL: [Self; 5] = [
        Self::NotSent,
        Self::Reset,
        Self::Blocked,
        Self::Failed,
        Self::Answered,
    ];

    /// The word for it in metrics, logs and documents.
    pub const fn word(self) -> &'static str {
        match self {
            Self::NotSent => "not-sent",
            Self::Reset => "reset",
            Self::Blocked => "blocked",
            Self::Failed => "failed",
            Self::Answered => "answered",
        }
    }
}

/// What the proxy says of a call that reached nobody.
const BLOCKED: [&[u8]; 4] = [
    b"connection failure",
    b"connection timeout",
    b"no healthy upstream",
    b"overflow",
];

impl Outcome {
    /// What `received` tells; of its body at most `most` bytes are kept.
    pub fn of(received: &Received<'_>, settings: &compare::Settings, most: usize) -> Self {
        let header = |name: &[u8]| {
            let mut lines = received.headers.iter();
            lines
                .find(|(line, _)| line.eq_ignore_ascii_case(name))
                .map(|(_, value)| *value)
        };
        let status = header(b":status").and_then(|value| std::str::from_utf8(value).ok());
        let Some(status) = status.and_then(|text| text.parse::<u16>().ok()) else {
            return Self::Reset;
        };
        let own = header(b"x-envoy-upstream-service-time").is_none();
        if own && matches!(status, 503 | 504) {
            let said = |text: &&[u8]| received.body.windows(text.len()).any(|part| part == *text);
            let blocked = header(b"x-envoy-overloaded").is_some() || BLOCKED.iter().any(said);
            return if blocked {
                Self::Blocked
            } else {
                Self::Failed(status)
            };
        }
        let mut answer = Answer::begin(status, received.headers.iter().copied(), settings);
        answer.trailers(received.trailers.iter().copied(), settings);
        answer.chunk(received.body, most);
        if received.body_size > received.body.len() {
            answer.truncate();
        }
        Self::Answered(answer)
    }

    /// What is compared with stable's answer; none if it says nothing about the version.
    pub fn into_answer(self) -> Option<Answer> {
        match self {
            Self::NotSent | Self::Blocked => None,
            Self::Reset => Some(Answer::failure(0)),
            Self::Failed(status) => Some(Answer::failure(status)),
            Self::Answered(answer) => Some(answer),
        }
    }

    /// How the call ended.
    pub fn ended(&self) -> Ended {
        match self {
            Self::NotSent => Ended::NotSent,
            Self::Reset => Ended::Reset,
            Self::Blocked => Ended::Blocked,
            Self::Failed(_) => Ended::Failed,
            Self::Answered(_) => Ended::Answered,
        }
    }

    /// Whether the upstream answered.
    pub fn is_answer(&self) -> bool {
        self.ended() == Ended::Answered
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn outcome(headers: &[(&str, &str)], body: &str, most: usize) -> Outcome {
        let lines: Vec<Line<'_>> = headers
            .iter()
            .map(|(name, value)| (name.as_bytes(), value.as_bytes()))
            .collect();
        let received = Received {
            headers: &lines,
            body: body.as_bytes(),
            body_size: body.len(),
            trailers: &[],
        };
        Outcome::of(&received, &compare::Settings::default(), most)
    }

    const TIME: (&str, &str) = ("x-envoy-upstream-service-time", "3");

    #[test]
    fn the_ends_of_a_call_are_told_apart() {
        const BEFORE: &str =
            "upstream connect error or disconnect/reset before headers. reset reason: ";
        let said = |reason: &str| format!("{BEFORE}{reason}");
        assert_eq!(outcome(&[], "", 9), Outcome::Reset);
        let own = |status, body: &str| outcome(&[(":status", status)], body, 9);
        assert_eq!(
            own("503", &said("remote connection failure")),
            Outcome::Blocked
        );
        assert_eq!(own("503", &said("overflow")), Outcome::Blocked);
        assert_eq!(own("503", "no healthy upstream"), Outcome::Blocked);
        assert_eq!(
            own("503", &said("connection termination")),
            Outcome::Failed(503)
        );
        assert_eq!(own("504", "upstream request timeout"), Outcome::Failed(504));
        let breaker = [(":status", "503"), ("x-envoy-overloaded", "true")];
        assert_eq!(outcome(&breaker, "", 9), Outcome::Blocked);
        for status in ["503", "504", "200"] {
            let real = outcome(&[(":status", status), TIME], "no healthy upstream", 99);
            assert!(real.is_answer(), "{status}");
        }
        assert!(
            own("502", "").is_answer(),
            "the proxy makes none of these for a call"
        );
    }

    #[test]
    fn a_blocked_way_is_not_compared_and_a_failure_is() {
        assert_eq!(Outcome::NotSent.into_answer(), None);
        assert_eq!(Outcome::Blocked.into_answer(), None);
        let status = |outcome: Outcome| outcome.into_answer().map(|of| of.response().status);
        assert_eq!(status(Outcome::Reset), Some(0));
        assert_eq!(status(Outcome::Failed(504)), Some(504));
    }

    #[test]
    fn a_body_is_kept_up_to_its_bound_and_given_up_beyond() {
        let body = |text| match outcome(&[(":status", "200"), TIME], text, 4) {
            Outcome::Answered(answer) => answer.response().body.map(<[u8]>::to_vec),
            other => panic!("{other:?}"),
        };
        assert_eq!(body("abcd"), Some(b"abcd".to_vec()));
        assert_eq!(body("abcde"), None);
    }

    #[test]
    fn a_flood_of_headers_is_not_kept() {
        let lines: Vec<Line<'_>> = vec![(b"set-cookie", &[b'a'; 1_000]); 1_000];
        let answer = Answer::begin(200, lines, &compare::Settings::default());
        assert!(answer.held() <= MOST_LINES);
        let other: [Line<'_>; 1] = [(b"etag", b"x")];
        let answer = Answer::begin(200, other, &compare::Settings::default());
        assert_eq!(answer.held(), 0);
    }

    proptest! {
        #[test]
        fn however_a_body_is_cut_it_is_whole_or_given_up(
            chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..8), 0..8),
            most in 0..40_usize,
        ) {
            let mut answer = Answer::begin(200, [], &compare::Settings::default());
            chunks.iter().for_each(|chunk| answer.chunk(chunk, most));
            let whole = chunks.concat();
            let expected = (whole.len() <= most).then_some(whole);
            prop_assert_eq!(answer.response().body.map(<[u8]>::to_vec), expected);
        }
    }
}
