;; An agent that counts: it answers each message with how many it has handled, {"count":3}.
;; The count is durable state, so it survives crashes and moves to other nodes.
;; docs/agents.md describes the functions that it imports and exports.
(module
  (import "caxton" "reply" (func $reply (param $ptr i32) (param $len i32) (result i32)))
  (import "caxton" "state_get"
    (func $state_get (param $key i32) (param $key_len i32) (param $value i32) (param $capacity i32) (result i32)))
  (import "caxton" "state_set"
    (func $state_set (param $key i32) (param $key_len i32) (param $value i32) (param $len i32) (result i32)))

  ;; What lies where: the key at 0, the count (8 bytes) at 16, how an answer begins at 32, the answer before 128,
  ;; the message from 1024 on.
  (memory (export "memory") 1)
  (data (i32.const 0) "count")
  (data (i32.const 32) "{\"count\":")

  ;; Makes room for a message. There is one at a time: each takes the place of the one before.
  (func (export "caxton_alloc") (param $len i32) (result i32)
    (local $missing i32)
    (local.set $missing
      (i32.sub
        (i32.shr_u (i32.add (local.get $len) (i32.const 66559)) (i32.const 16))
        (memory.size)))
    (if (i32.gt_s (local.get $missing) (i32.const 0))
      (then
        (if (i32.eq (memory.grow (local.get $missing)) (i32.const -1))
          (then unreachable))))
    (i32.const 1024))

  ;; Counts the message, whatever it says, and answers it.
  (func (export "caxton_handle") (param $ptr i32) (param $len i32) (result i32)
    (local $count i64)
    (local $at i32)
    ;; Memory may be older than the state: a missing key means zero.
    (i64.store (i32.const 16) (i64.const 0))
    (drop (call $state_get (i32.const 0) (i32.const 5) (i32.const 16) (i32.const 8)))
    (local.set $count (i64.add (i64.load (i32.const 16)) (i64.const 1)))
    (i64.store (i32.const 16) (local.get $count))
    (if (call $state_set (i32.const 0) (i32.const 5) (i32.const 16) (i32.const 8))
      (then (return (i32.const 1))))

    ;; The answer is written from its end: the brace, the digits, the beginning.
    (local.set $at (i32.const 127))
    (i32.store8 (local.get $at) (i32.const 125)) ;; }
    (loop $digits
      (local.set $at (i32.sub (local.get $at) (i32.const 1)))
      (i32.store8 (local.get $at)
        (i32.add (i32.const 48) (i32.wrap_i64 (i64.rem_u (local.get $count) (i64.const 10)))))
      (local.set $count (i64.div_u (local.get $count) (i64.const 10)))
      (br_if $digits (i64.ne (local.get $count) (i64.const 0))))
    (local.set $at (i32.sub (local.get $at) (i32.const 9)))
    (memory.copy (local.get $at) (i32.const 32) (i32.const 9))
    (call $reply (local.get $at) (i32.sub (i32.const 128) (local.get $at)))))
