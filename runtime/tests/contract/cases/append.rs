//! What is appended is read back: in order, at its offset, from any position.

use tidegate_runtime::log::{Offset, Outgoing};
use tidegate_runtime::time::EventTime;

use super::home::*;

pub(crate) fn records_are_read_in_the_order_they_were_sent(home: &dyn Home) {
    let log = home.open();
    topic(&*log, "t", 1);
    let mut producer = log.producer("p").unwrap();
    send(&mut *producer, "t", 0, 0..10);
    send(&mut *producer, "t", 0, 10..20);
    producer.commit(None).unwrap();
    send(&mut *producer, "t", 0, [99, -5, 20]);
    producer.commit(None).unwrap();
    let expected: Vec<i64> = (0..20).chain([99, -5, 20]).collect();
    assert_eq!(times(&*log, "t", 0), expected);
    let offsets: Vec<i64> = read_from(&*log, "t", 0, 0).iter().map(|record| record.0).collect();
    assert!(offsets.is_sorted_by(|one, next| one < next), "{offsets:?}");
}

pub(crate) fn every_part_of_a_record_comes_back(home: &dyn Home) {
    let log = home.open();
    topic(&*log, "t", 1);
    let mut outgoing = Outgoing::default();
    let records = outgoing.partition(&"t".into(), 0);
    records.push(EventTime(7), None, Some(b""), &[("a", b"1"), ("a", b""), ("b", b"\xff")]);
    records.push(EventTime(8), Some(b""), None, &[]);
    let mut producer = log.producer("p").unwrap();
    producer.send(&mut outgoing).unwrap();
    producer.commit(None).unwrap();
    let mut worker = Worker::new(log.reader(1 << 20).unwrap());
    worker.consumer.seek(at("t", 0), Offset(0));
    let chunk = worker.chunk();
    let (first, second) = (chunk.record(0), chunk.record(1));
    assert_eq!((first.key(), first.value(), first.time()), (None, Some(b"".as_slice()), EventTime(7)));
    let headers: Vec<_> = first.headers().collect();
    assert_eq!(headers, [("a", b"1".as_slice()), ("a", b"".as_slice()), ("b", b"\xff".as_slice())]);
    assert_eq!((second.key(), second.value(), second.time()), (Some(b"".as_slice()), None, EventTime(8)));
    assert_eq!(second.headers().count(), 0);
}

pub(crate) fn a_record_stays_in_the_partition_it_was_sent_to(home: &dyn Home) {
    let log = home.open();
    topic(&*log, "t", 3);
    let mut producer = log.producer("p").unwrap();
    let mut outgoing = Outgoing::default();
    for time in 0..300_i64 {
        put(&mut outgoing, "t", (time % 3) as u32, [time]);
    }
    producer.send(&mut outgoing).unwrap();
    let receipt = producer.commit(None).unwrap();
    assert_eq!(receipt.first_offsets.len(), 3);
    for partition in 0..3_u32 {
        let expected: Vec<i64> = (0..300).filter(|time| time % 3 == i64::from(partition)).collect();
        assert_eq!(times(&*log, "t", partition), expected);
        let first = receipt.first_offsets[&at("t", partition)];
        assert_eq!(read_from(&*log, "t", partition, 0)[0].0, first.0);
    }
}

pub(crate) fn reading_starts_at_any_position(home: &dyn Home) {
    let log = home.open();
    topic(&*log, "t", 1);
    write(&*log, "t", 0, 0..50);
    write(&*log, "t", 0, 50..100);
    let all = read_from(&*log, "t", 0, 0);
    assert_eq!(all.len(), 100);
    for (index, record) in all.iter().enumerate() {
        assert_eq!(read_from(&*log, "t", 0, record.0), all[index..], "from {}", record.0);
    }
}

pub(crate) fn a_large_append_is_one_transaction_whatever_its_size(home: &dyn Home) {
    let log = home.open();
    topic(&*log, "t", 1);
    let mut producer = log.producer("p").unwrap();
    send(&mut *producer, "t", 0, 0..20_000);
    let mut outgoing = Outgoing::default();
    let large = vec![b'x'; 900_000];
    for time in 20_000..20_004 {
        outgoing.partition(&"t".into(), 0).push(EventTime(time), None, Some(&large), &[]);
    }
    producer.send(&mut outgoing).unwrap();
    producer.commit(None).unwrap();
    let all = read_from(&*log, "t", 0, 0);
    assert!(all.iter().map(|record| record.1).eq(0..20_004));
    assert!(all[20_000..].iter().all(|record| record.3.len() == 900_000));
    // Positions inside whatever the home splits it into.
    for from in [1, 4_095, 4_096, 4_097, 19_999, 20_002] {
        assert_eq!(read_from(&*log, "t", 0, all[from].0).len(), all.len() - from);
    }
}

pub(crate) fn a_seek_makes_what_was_fetched_before_void(home: &dyn Home) {
    let log = home.open();
    topic(&*log, "t", 1);
    write(&*log, "t", 0, 0..100);
    let mut worker = Worker::new(log.reader(1 << 20).unwrap());
    worker.consumer.seek(at("t", 0), Offset(0));
    assert_eq!(worker.chunk().from, Offset(0));
    worker.consumer.seek(at("t", 0), Offset(40));
    let position = Offset(40);
    // Chunks from before the seek say so by their `from`.
    let chunk = loop {
        let chunk = worker.chunk();
        if chunk.from == position {
            break chunk;
        }
    };
    assert_eq!(seen(&chunk)[0].0, 40);
}
