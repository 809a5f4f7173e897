//! The readers against other readers: one message in all pieces, a naive reader, Python's h11, and a corpus of
//! hostile messages.
//!
//! | file | what it holds |
//! |---|---|
//! | `message` | what a reader made of some bytes, the same for every reader |
//! | `ours` | this crate's readers, fed in pieces |
//! | `reference` | a naive reader, byte by byte |
//! | `compare` | ours beside the reference, and beside itself in pieces |
//! | `generate` | messages, mostly right, then spoilt |
//! | `corpus` | named messages and what becomes of them: `tests/corpus/*.txt` |
//! | `properties` | the comparisons of ours with itself and with the reference |
//! | `h11` | the comparison with h11 |
//! | `python` | a Python with packages |
//! | `meaning` | what heads say beyond what other readers show |
//! | `round_trip` | what is written is read again |

mod compare;
mod corpus;
mod generate;
mod h11;
mod meaning;
mod message;
mod ours;
mod properties;
mod python;
mod reference;
mod round_trip;
