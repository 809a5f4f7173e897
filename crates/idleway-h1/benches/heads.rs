//! What reading and writing cost: `cargo bench -p idleway-h1`. The fastest of many rounds, in nanoseconds.
#![expect(clippy::print_stdout, reason = "a benchmark speaks on standard output")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use idleway_h1::{BodyReader, Event, Framing, HeadReader, HeadWriter, Limits, chunk_prefix, reason_phrase};

const REQUEST: &[u8] = b"POST /process/images?width=640&height=480 HTTP/1.1\r\n\
    Host: gateway.example.com:5000\r\n\
    User-Agent: python-requests/2.32.3\r\n\
    Accept-Encoding: gzip, deflate, br\r\n\
    Accept: application/json\r\n\
    Connection: keep-alive\r\n\
    Content-Type: application/json\r\n\
    Content-Length: 25\r\n\
    Authorization: Bearer eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.e30\r\n\
    X-Request-Id: 01890a5d-ac96-774b-bcce-b302099a8057\r\n\
    traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n\r\n";

const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\n\
    Server: gunicorn\r\n\
    Date: Mon, 01 Jan 2024 00:00:00 GMT\r\n\
    Connection: keep-alive\r\n\
    Content-Type: application/json\r\n\
    Content-Length: 72\r\n\r\n";

fn main() {
    println!("request: {} bytes, response: {} bytes", REQUEST.len(), RESPONSE.len());
    let mut reader = HeadReader::new(Limits::default());
    report("read a request's head", || reader.request(black_box(REQUEST)).is_ok());
    report("read a response's head", || reader.response(black_box(RESPONSE), false).is_ok());

    let mut dribbled = HeadReader::new(Limits::default());
    report("read a request's head that comes byte by byte", || {
        (1..=REQUEST.len()).all(|length| dribbled.request(black_box(&REQUEST[..length])).is_ok())
    });

    let Ok(Some((head, _))) = reader.request(REQUEST) else {
        return;
    };
    let mut out = Vec::with_capacity(1024);
    report("copy the fields of a request to forward", || {
        out.clear();
        let mut writer = HeadWriter::request(&mut out, head.method(), head.path());
        for field in head.fields() {
            if !field.known.is_hop_by_hop() && !head.nominated(field.name) {
                writer.field(field.name, field.value);
            }
        }
        writer.end();
        !black_box(&out).is_empty()
    });
    report("write a small answer's head", || {
        out.clear();
        HeadWriter::response(&mut out, 200, reason_phrase(200))
            .field("Content-Type", "application/json")
            .number("Content-Length", 72)
            .end();
        !black_box(&out).is_empty()
    });

    let mut chunked = Vec::new();
    for _ in 0..64 {
        chunked.extend_from_slice(chunk_prefix(100).as_ref());
        chunked.extend_from_slice(&[b'x'; 100]);
        chunked.extend_from_slice(b"\r\n");
    }
    chunked.extend_from_slice(b"0\r\n\r\n");
    report("read a body of 64 chunks", || {
        let mut body = BodyReader::new(Framing::Chunked, 1024);
        let mut at = 0;
        while let Ok(step) = body.next(black_box(&chunked[at..])) {
            at += step.consumed;
            if !matches!(step.event, Event::Data(_)) {
                break;
            }
        }
        body.is_done()
    });
}

/// Prints the time of one call: the fastest of 40 rounds, since whatever disturbs a round makes it slower.
fn report(what: &str, mut call: impl FnMut() -> bool) {
    const CALLS: u32 = 2000;
    let round = |call: &mut dyn FnMut() -> bool| {
        let start = Instant::now();
        let succeeded = (0..CALLS).all(|_| black_box(call()));
        assert!(succeeded, "{what} failed");
        start.elapsed()
    };
    let fastest = (0..40).map(|_| round(&mut call)).min().unwrap_or(Duration::ZERO);
    println!("{what}: {} ns", fastest.as_nanos() / u128::from(CALLS));
}
