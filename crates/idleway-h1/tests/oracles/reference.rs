//! A naive reader: one byte, one line, one field after the other, without a thought of speed.
//!
//! It collects every fault of a message instead of the first, so that it need not know in which order the real
//! reader looks: a message is read by both, or refused with one of its faults.

use std::collections::HashSet;

use idleway_h1::RefusalReason::{self, *};
use idleway_h1::{Framing, Version};

use crate::message::{End, Kind, Message, Outcome, Start};
use crate::ours::{LIMITS, TRAILER_LIMIT};

type Faults = HashSet<RefusalReason>;
type Fields = Vec<(String, Vec<u8>)>;

pub(crate) fn read(kind: Kind, bytes: &[u8]) -> Outcome<Faults> {
    let lines = match lines(kind == Kind::Request, 1, LIMITS.head, LIMITS.fields, bytes) {
        Lines::Partial => return Outcome::NoHead,
        // What the first line is of decides how a head without end is called.
        Lines::TooLarge(0) if kind == Kind::Request => return refused(TargetTooLong),
        Lines::TooLarge(_) => return refused(HeadTooLarge),
        Lines::Fault(fault) => return refused(fault),
        Lines::Whole(lines, length) => (lines, length),
    };
    let (lines, length) = lines;
    let mut faults = Faults::new();
    let fields = fields(&lines[1..], &mut faults);
    let mut message = match kind {
        Kind::Request => request(&lines[0], fields, &mut faults),
        Kind::Response | Kind::ResponseToHead => {
            response(&lines[0], fields, kind == Kind::ResponseToHead, &mut faults)
        }
    };
    if !faults.is_empty() {
        return Outcome::Refused(faults);
    }
    message.length = length;
    match body(&mut message, &bytes[length..]) {
        Ok(()) => Outcome::Read(Box::new(message)),
        Err(faults) => Outcome::Refused(faults),
    }
}

fn refused(fault: RefusalReason) -> Outcome<Faults> {
    Outcome::Refused(one(fault))
}

fn one(fault: RefusalReason) -> Faults {
    Faults::from([fault])
}

enum Lines {
    Partial,
    /// Beyond the limit, after so many whole lines.
    TooLarge(usize),
    Fault(RefusalReason),
    /// All lines but the empty one, and the length of all.
    Whole(Vec<Vec<u8>>, usize),
}

/// Cuts a section into its lines; `start_lines` of them are not fields.
fn lines(may_skip: bool, start_lines: usize, limit: usize, field_limit: usize, bytes: &[u8]) -> Lines {
    let mut lines: Vec<Vec<u8>> = Vec::new();
    let mut line = Vec::new();
    let mut skipped = false;
    for (at, byte) in bytes.iter().copied().enumerate() {
        if at == limit {
            return Lines::TooLarge(lines.len());
        }
        let after_cr = line.last() == Some(&b'\r');
        match byte {
            // A CR that is the last byte of all the limit allows is never told from one with its LF.
            b'\r' if !after_cr => line.push(byte),
            b'\n' if after_cr => {
                line.pop();
                if line.is_empty() && lines.len() >= start_lines {
                    return Lines::Whole(lines, at + 1);
                }
                if line.is_empty() {
                    if !may_skip || skipped {
                        return Lines::Fault(EmptyLines);
                    }
                    skipped = true;
                    continue;
                }
                if lines.len() >= start_lines && (line[0] == b' ' || line[0] == b'\t') {
                    return Lines::Fault(ObsFold);
                }
                lines.push(std::mem::take(&mut line));
                if lines.len() > start_lines + field_limit {
                    return Lines::Fault(TooManyFields);
                }
            }
            _ if after_cr => return Lines::Fault(BareCr),
            b'\n' => return Lines::Fault(BareLf),
            b'\t' | 0x20..=0x7e | 0x80..=0xff => line.push(byte),
            _ => return Lines::Fault(ControlByte),
        }
    }
    if bytes.len() >= limit { Lines::TooLarge(lines.len()) } else { Lines::Partial }
}

fn token(bytes: &[u8]) -> bool {
    let delimiters = b"\"(),/:;<=>?@[\\]{}";
    !bytes.is_empty() && bytes.iter().all(|byte| byte.is_ascii_graphic() && !delimiters.contains(byte))
}

fn string(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn trim(bytes: &[u8]) -> &[u8] {
    let space = |byte: &u8| *byte == b' ' || *byte == b'\t';
    let Some(start) = bytes.iter().position(|byte| !space(byte)) else {
        return &[];
    };
    let end = bytes.iter().rposition(|byte| !space(byte)).map_or(0, |last| last + 1);
    &bytes[start..end]
}

fn fields(lines: &[Vec<u8>], faults: &mut Faults) -> Fields {
    let mut fields = Fields::new();
    for line in lines {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else {
            faults.insert(if token(line) { MissingColon } else { BadFieldName });
            continue;
        };
        let name = &line[..colon];
        if !token(name) {
            let spaced = token(name.trim_ascii_end());
            faults.insert(if spaced { SpaceBeforeColon } else { BadFieldName });
        }
        fields.push((string(name), trim(&line[colon + 1..]).to_vec()));
    }
    fields
}

fn values<'a>(fields: &'a Fields, name: &str) -> Vec<&'a [u8]> {
    let same = fields.iter().filter(|field| field.0.eq_ignore_ascii_case(name));
    same.map(|field| &*field.1).collect()
}

fn list(fields: &Fields, name: &str) -> Vec<String> {
    let mut list = Vec::new();
    for value in values(fields, name) {
        for element in value.split(|byte| *byte == b',') {
            if !trim(element).is_empty() {
                list.push(string(trim(element)).to_ascii_lowercase());
            }
        }
    }
    list
}

fn version(text: &[u8], malformed: RefusalReason, faults: &mut Faults) -> Version {
    match text {
        b"HTTP/1.0" => Version::Http10,
        b"HTTP/1.1" => Version::Http11,
        _ => {
            let digits = text.len() == 8 && text[5].is_ascii_digit() && text[7].is_ascii_digit();
            let odd = digits && text.starts_with(b"HTTP/") && text[6] == b'.';
            faults.insert(if odd { UnsupportedVersion } else { malformed });
            Version::Http11
        }
    }
}

/// What the fields say of the length.
fn declared(fields: &Fields, version: Version, faults: &mut Faults) -> Option<Framing> {
    let lengths = values(fields, "content-length");
    let codings = values(fields, "transfer-encoding");
    if lengths.len() > 1 {
        faults.insert(RepeatedContentLength);
    }
    if codings.len() > 1 {
        faults.insert(RepeatedTransferEncoding);
    }
    if !lengths.is_empty() && !codings.is_empty() {
        faults.insert(LengthAndTransferEncoding);
    }
    if !codings.is_empty() && version == Version::Http10 {
        faults.insert(TransferEncodingInHttp10);
    }
    if let Some(coding) = codings.first() {
        if !string(coding).eq_ignore_ascii_case("chunked") {
            faults.insert(odd_coding(&list(fields, "transfer-encoding")));
        }
        return Some(Framing::Chunked);
    }
    let mut length: u128 = 0;
    for byte in lengths.first()?.iter() {
        if !byte.is_ascii_digit() {
            faults.insert(BadContentLength);
        }
        length = (length * 10 + u128::from(byte.wrapping_sub(b'0') % 10)).min(1 << 100);
    }
    if lengths[0].is_empty() || length >= 1 << 63 {
        faults.insert(BadContentLength);
    }
    Some(Framing::Length(u64::try_from(length).unwrap_or(0)))
}

fn odd_coding(codings: &[String]) -> RefusalReason {
    let names: Vec<&str> = codings.iter().map(|c| c.split(';').next().unwrap_or("").trim()).collect();
    let chunked = names.iter().filter(|name| **name == "chunked").count();
    let tokens = names.iter().all(|name| token(name.as_bytes()));
    if tokens && chunked < 2 && chunked < names.len() { UnknownTransferCoding } else { BadTransferEncoding }
}

fn keeps_alive(fields: &Fields, version: Version, faults: &mut Faults) -> bool {
    let options = list(fields, "connection");
    if options.len() > 64 {
        faults.insert(TooManyConnectionOptions);
    }
    let has = |option: &str| options.iter().any(|o| o == option);
    !has("close") && (version == Version::Http11 || has("keep-alive"))
}

fn request(line: &[u8], fields: Fields, faults: &mut Faults) -> Message {
    let parts: Vec<&[u8]> = line.split(|byte| *byte == b' ').collect();
    let mut message = Message {
        start: Start::Response { status: 0, reason: Vec::new() },
        version: Version::Http11,
        framing: Framing::Empty,
        keep_alive: true,
        fields,
        body: Vec::new(),
        trailers: Vec::new(),
        end: End::Complete,
        length: 0,
    };
    if !parts[0].is_empty() && !token(parts[0]) {
        faults.insert(BadMethod);
    }
    if parts.len() != 3 || parts[0].is_empty() || parts[1].is_empty() {
        faults.insert(BadRequestLine);
        return message;
    }
    let (method, target) = (string(parts[0]), string(parts[1]));
    message.version = version(parts[2], BadVersion, faults);
    if !parts[1].iter().all(u8::is_ascii_graphic) {
        faults.insert(BadTarget);
    }
    if parts[1].len() > LIMITS.target {
        faults.insert(TargetTooLong);
    }
    if ["CONNECT", "TRACE"].contains(&method.to_ascii_uppercase().as_str()) {
        faults.insert(MethodNotAllowed);
    }
    let (path, named) = path_and_authority(&method, &target, faults);
    let hosts = values(&message.fields, "host");
    if hosts.is_empty() && message.version == Version::Http11 {
        faults.insert(MissingHost);
    }
    if hosts.len() > 1 {
        faults.insert(RepeatedHost);
    }
    if hosts.iter().any(|host| !valid_authority(&string(host))) {
        faults.insert(BadHost);
    }
    let authority = named.unwrap_or_else(|| hosts.first().map_or(String::new(), |host| string(host)));
    message.framing = declared(&message.fields, message.version, faults).unwrap_or(Framing::Empty);
    message.keep_alive = keeps_alive(&message.fields, message.version, faults);
    let expectations = list(&message.fields, "expect");
    if expectations.iter().any(|expectation| expectation != "100-continue") {
        faults.insert(UnknownExpectation);
    }
    let has_body = !matches!(message.framing, Framing::Empty | Framing::Length(0));
    let expects_continue = !expectations.is_empty() && has_body && message.version == Version::Http11;
    message.start = Start::Request { method, target, path, authority, expects_continue };
    message
}

fn path_and_authority(method: &str, target: &str, faults: &mut Faults) -> (String, Option<String>) {
    if target == "*" && method == "OPTIONS" {
        return (target.to_owned(), None);
    }
    let lower = target.to_ascii_lowercase();
    let after_scheme = ["http://", "https://"].into_iter().find(|scheme| lower.starts_with(scheme));
    let (authority, path) = match after_scheme {
        None if target.starts_with('/') => (None, target.to_owned()),
        None => {
            faults.insert(BadTarget);
            return (String::new(), None);
        }
        Some(scheme) => {
            let rest = &target[scheme.len()..];
            let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
            let path = match &rest[end..] {
                "" if method == "OPTIONS" => "*".to_owned(),
                path if path.starts_with('/') => path.to_owned(),
                query => format!("/{query}"),
            };
            (Some(rest[..end].to_owned()), path)
        }
    };
    if authority.as_ref().is_some_and(|authority| !valid_authority(authority)) {
        faults.insert(BadHost);
    }
    let (before_query, query) = path.split_once('?').unwrap_or((&path, ""));
    let visible = path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#');
    let mut escapes = before_query.split('%');
    escapes.next();
    let escaped = escapes.all(|rest| {
        let digits = rest.get(..2).unwrap_or("");
        digits != "00" && digits.len() == 2 && digits.bytes().all(|digit| digit.is_ascii_hexdigit())
    });
    if !visible || !escaped || before_query.contains(['"', '<', '>', '\\']) || query.contains('#') {
        faults.insert(BadTarget);
    }
    (path, authority)
}

fn valid_authority(authority: &str) -> bool {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((host, port)) if host.parse::<std::net::Ipv6Addr>().is_ok() => ("ipv6", port),
            _ => return false,
        },
        None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
    };
    let name = |c: char| c.is_ascii_alphanumeric() || "-._~".contains(c);
    let port_is_number = match port.strip_prefix(':') {
        Some("") => true,
        Some(digits) => digits.chars().all(|c| c.is_ascii_digit()) && digits.parse::<u16>().is_ok(),
        None => port.is_empty(),
    };
    !host.is_empty() && host.chars().all(name) && port_is_number
}

fn response(line: &[u8], fields: Fields, to_head: bool, faults: &mut Faults) -> Message {
    let text = line.get(..8).unwrap_or(line);
    let version = version(text, BadStatusLine, faults);
    let rest = line.get(8..).unwrap_or(&[]);
    let digits = rest.get(1..4).unwrap_or(&[]);
    let odd_end = rest.len() > 4 && rest[4] != b' ';
    if !rest.starts_with(b" ") || digits.len() != 3 || !digits.iter().all(u8::is_ascii_digit) || odd_end {
        faults.insert(BadStatusLine);
    }
    let status = string(digits).parse().unwrap_or(0);
    if !(100..600).contains(&status) {
        faults.insert(BadStatus);
    }
    let declared = declared(&fields, version, faults);
    let announced = declared.is_some_and(|framing| framing != Framing::Length(0));
    if status < 200 && announced {
        faults.insert(InterimWithBody);
    }
    let no_body = to_head || status < 200 || status == 204 || status == 304;
    let framing = if no_body { Framing::Empty } else { declared.unwrap_or(Framing::UntilClose) };
    let odd_204 = status == 204 && announced;
    let keep_alive = keeps_alive(&fields, version, faults) && framing != Framing::UntilClose && !odd_204;
    Message {
        start: Start::Response { status, reason: rest.get(5..).unwrap_or(&[]).to_vec() },
        version,
        framing,
        keep_alive,
        fields,
        body: Vec::new(),
        trailers: Vec::new(),
        end: End::Complete,
        length: 0,
    }
}

fn body(message: &mut Message, bytes: &[u8]) -> Result<(), Faults> {
    let length = match message.framing {
        Framing::Empty => 0,
        Framing::UntilClose => bytes.len(),
        Framing::Length(length) => usize::try_from(length).unwrap_or(usize::MAX),
        Framing::Chunked => return chunks(message, bytes),
    };
    message.body = bytes[..length.min(bytes.len())].to_vec();
    message.length += message.body.len();
    if bytes.len() < length {
        message.end = End::Truncated;
    }
    Ok(())
}

fn chunks(message: &mut Message, bytes: &[u8]) -> Result<(), Faults> {
    message.end = End::Truncated;
    let mut rest = bytes;
    let mut overhead = 0;
    loop {
        let Some((size, extension, used)) = chunk_size(rest).map_err(one)? else {
            message.length += rest.len();
            return Ok(());
        };
        overhead = (overhead + extension as u128).saturating_sub(16 + 2 * size);
        if overhead > 16 * 1024 {
            return Err(one(ChunkOverhead));
        }
        message.length += used;
        rest = &rest[used..];
        if size == 0 {
            return trailers(message, rest);
        }
        let data = &rest[..rest.len().min(usize::try_from(size).unwrap_or(usize::MAX))];
        message.body.extend_from_slice(data);
        message.length += data.len();
        rest = &rest[data.len()..];
        for expected in *b"\r\n" {
            let Some((byte, after)) = rest.split_first() else {
                return Ok(());
            };
            if *byte != expected {
                return Err(one(BadChunkEnd));
            }
            message.length += 1;
            rest = after;
        }
    }
}

/// Size, length of the extension and length of the line.
fn chunk_size(bytes: &[u8]) -> Result<Option<(u128, usize, usize)>, RefusalReason> {
    let digits = bytes.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    if digits > 15 {
        return Err(BadChunkSize);
    }
    let spaces = bytes[digits..].iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    let after = bytes[digits..].get(spaces);
    match (digits, spaces, after) {
        (0, 0, Some(b'\n')) => return Err(BareLf),
        (0, 0, None) => return Ok(None),
        (0, ..) => return Err(BadChunkSize),
        (_, 257.., _) => return Err(ChunkExtensionTooLong),
        (_, _, None) => return Ok(None),
        (_, 0, Some(b'\n')) => return Err(BareLf),
        (_, 0, Some(b'\r')) | (_, _, Some(b';')) => {}
        _ => return Err(BadChunkSize),
    }
    for (length, byte) in bytes[digits..].iter().enumerate() {
        match byte {
            b'\r' => {
                return match bytes.get(digits + length + 1) {
                    None => Ok(None),
                    Some(b'\n') => {
                        let size = u128::from_str_radix(&string(&bytes[..digits]), 16).unwrap_or(0);
                        Ok(Some((size, length, digits + length + 2)))
                    }
                    Some(_) => Err(BareCr),
                };
            }
            b'\n' => return Err(BareLf),
            b'\t' | 0x20..=0x7e | 0x80..=0xff if length < 256 => {}
            b'\t' | 0x20..=0x7e | 0x80..=0xff => return Err(ChunkExtensionTooLong),
            _ => return Err(BadChunkExtension),
        }
    }
    Ok(None)
}

fn trailers(message: &mut Message, bytes: &[u8]) -> Result<(), Faults> {
    let (lines, length) = match lines(false, 0, TRAILER_LIMIT, 256, bytes) {
        Lines::Partial => (Vec::new(), bytes.len()),
        Lines::TooLarge(_) => return Err(one(TrailersTooLarge)),
        Lines::Fault(fault) => return Err(one(fault)),
        Lines::Whole(lines, length) => {
            message.end = End::Complete;
            (lines, length)
        }
    };
    message.length += length;
    let mut faults = Faults::new();
    message.trailers = fields(&lines, &mut faults);
    for name in ["content-length", "transfer-encoding", "host"] {
        if !values(&message.trailers, name).is_empty() {
            faults.insert(ForbiddenTrailer);
        }
    }
    if faults.is_empty() { Ok(()) } else { Err(faults) }
}
