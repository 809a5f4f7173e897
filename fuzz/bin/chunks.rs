#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| idleway_fuzz::chunks(data));
