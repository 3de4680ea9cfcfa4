#include <event2/event.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/mailbox.h"
#include "base/memory.h"
#include "test.h"

struct note {
    struct message message; /* first */
    int sender;
    int number;
};

/* What arrived, in order. */
struct receiver {
    struct event_base *base;
    struct mailbox *mailbox; /* its own */
    int numbers[64];
    size_t count;
    size_t drained;
    size_t count_when_drained;
};

static void on_note(struct message *message, void *arg)
{
    struct note *note = (struct note *)message;
    struct receiver *receiver = arg;
    if (receiver->count < TEST_COUNT(receiver->numbers))
        receiver->numbers[receiver->count] = note->number;
    receiver->count++;
    free(note);
}

static void on_drained(void *arg)
{
    struct receiver *receiver = arg;
    receiver->drained++;
    receiver->count_when_drained = receiver->count;
}

static struct note *note_new(int sender, int number)
{
    struct note *note = memory_zero(1, sizeof *note);
    note->message.on_message = on_note;
    note->sender = sender;
    note->number = number;
    return note;
}

static void messages_are_handled_in_the_order_they_came(void **state)
{
    struct receiver receiver = {0};
    struct mailbox *mailbox = mailbox_new(10, &receiver, on_drained);
    (void)state;
    assert_int_equal(mailbox_drain(mailbox), 0);
    assert_int_equal(receiver.drained, 0);
    for (int i = 0; i < 5; i++)
        assert_true(mailbox_push(mailbox, &note_new(0, i)->message));
    assert_int_equal(mailbox_length(mailbox), 5);
    assert_int_equal(mailbox_drain(mailbox), 5);
    assert_int_equal(mailbox_length(mailbox), 0);
    for (int i = 0; i < 5; i++)
        assert_int_equal(receiver.numbers[i], i);
    assert_int_equal(receiver.drained, 1); /* once, after all of them */
    assert_int_equal(receiver.count_when_drained, 5);
    mailbox_free(mailbox);
    assert_int_equal(receiver.count, 5);
    mailbox_free(NULL);
}

static void a_full_mailbox_refuses_and_the_message_stays_the_senders(void **state)
{
    struct receiver receiver = {0};
    struct mailbox *mailbox = mailbox_new(2, &receiver, NULL);
    (void)state;
    assert_true(mailbox_push(mailbox, &note_new(0, 1)->message));
    assert_true(mailbox_push(mailbox, &note_new(0, 2)->message));
    struct note *refused = note_new(0, 3);
    assert_false(mailbox_push(mailbox, &refused->message));
    assert_int_equal(mailbox_length(mailbox), 2);

    mailbox_push_always(mailbox, &note_new(0, 4)->message);
    assert_int_equal(mailbox_length(mailbox), 3);
    assert_false(mailbox_push(mailbox, &refused->message));
    assert_int_equal(mailbox_drain(mailbox), 3);
    assert_true(mailbox_push(mailbox, &refused->message));
    assert_int_equal(mailbox_drain(mailbox), 1);

    static const int expected[] = {1, 2, 4, 3};
    assert_int_equal(receiver.count, 4);
    assert_memory_equal(receiver.numbers, expected, sizeof expected);
    mailbox_free(mailbox);
}

static void messages_left_over_are_handled_when_it_is_freed(void **state)
{
    struct receiver receiver = {0};
    struct mailbox *mailbox = mailbox_new(10, &receiver, on_drained);
    (void)state;
    assert_true(mailbox_push(mailbox, &note_new(0, 1)->message));
    assert_true(mailbox_push(mailbox, &note_new(0, 2)->message));
    mailbox_free(mailbox);
    assert_int_equal(receiver.count, 2);
    assert_int_equal(receiver.drained, 1);
}

/* A message that sends another one into the same mailbox. */
struct echo {
    struct message message; /* first */
    struct mailbox *mailbox;
};

static void on_echo(struct message *message, void *arg)
{
    struct echo *echo = (struct echo *)message;
    struct receiver *receiver = arg;
    receiver->count++;
    mailbox_push_always(echo->mailbox, &note_new(0, 7)->message);
    free(echo);
}

static void a_handler_may_send_to_its_own_mailbox(void **state)
{
    struct receiver receiver = {0};
    struct mailbox *mailbox = mailbox_new(1, &receiver, NULL);
    struct echo *echo = memory_zero(1, sizeof *echo);
    (void)state;
    echo->message.on_message = on_echo;
    echo->mailbox = mailbox;
    assert_true(mailbox_push(mailbox, &echo->message));
    assert_int_equal(mailbox_drain(mailbox), 1); /* the new one waits for the next round */
    assert_int_equal(mailbox_length(mailbox), 1);
    mailbox_free(mailbox);
    assert_int_equal(receiver.count, 2);
}

/* --- two threads -------------------------------------------------------------------------------
 */

enum { NOTES = 20000, SENDERS = 2 };

struct sender {
    pthread_t thread;
    struct mailbox *mailbox;
    int id;
};

struct counting_receiver {
    struct event_base *base;
    int next[SENDERS]; /* the number that must come from each */
    size_t count;
    size_t out_of_order;
};

static void on_counted_note(struct message *message, void *arg)
{
    struct note *note = (struct note *)message;
    struct counting_receiver *receiver = arg;
    if (note->number != receiver->next[note->sender])
        receiver->out_of_order++;
    receiver->next[note->sender] = note->number + 1;
    free(note);
    if (++receiver->count == (size_t)NOTES * SENDERS)
        (void)event_base_loopbreak(receiver->base);
}

static void *send_all(void *arg)
{
    struct sender *sender = arg;
    for (int i = 0; i < NOTES; i++) {
        struct note *note = note_new(sender->id, i);
        note->message.on_message = on_counted_note;
        while (!mailbox_push(sender->mailbox, &note->message))
            (void)sched_yield();
    }
    return NULL;
}

/* Through the event loop, with a mailbox so small that it is full most of the time: a lost wake-up
 * would hang here, a lost message would leave the count short. */
static void each_senders_messages_arrive_once_and_in_order(void **state)
{
    struct counting_receiver receiver = {.base = event_base_new()};
    struct mailbox *mailbox = mailbox_new(16, &receiver, NULL);
    struct sender senders[SENDERS];
    (void)state;

    mailbox_attach(mailbox, receiver.base);
    for (int i = 0; i < SENDERS; i++) {
        senders[i] = (struct sender){.mailbox = mailbox, .id = i};
        assert_int_equal(pthread_create(&senders[i].thread, NULL, send_all, &senders[i]), 0);
    }
    assert_int_equal(event_base_dispatch(receiver.base), 0);
    for (int i = 0; i < SENDERS; i++) {
        assert_int_equal(pthread_join(senders[i].thread, NULL), 0);
        assert_int_equal(receiver.next[i], NOTES);
    }
    assert_int_equal(receiver.out_of_order, 0);
    assert_int_equal(receiver.count, (size_t)NOTES * SENDERS);
    mailbox_free(mailbox);
    event_base_free(receiver.base);
}

/* Handles what came after it, as a stop does that waits for answers. */
static void on_waiting(struct message *message, void *arg)
{
    struct note *note = (struct note *)message;
    struct receiver *receiver = arg;

    receiver->numbers[receiver->count++] = note->number;
    assert_true(mailbox_push(receiver->mailbox, &note_new(0, 3)->message));
    assert_int_equal(mailbox_drain(receiver->mailbox), 3);
    assert_int_equal(receiver->count, 4);
    free(note);
}

static void a_handler_may_wait_for_what_came_after_it(void **state)
{
    struct receiver receiver = {0};
    struct mailbox *mailbox = mailbox_new(10, &receiver, on_drained);
    (void)state;

    receiver.mailbox = mailbox;
    for (int i = 0; i < 3; i++) {
        struct note *note = note_new(0, i);
        if (i == 0)
            note->message.on_message = on_waiting;
        assert_true(mailbox_push(mailbox, &note->message));
    }
    assert_int_equal(mailbox_drain(mailbox), 1);
    assert_int_equal(receiver.count, 4);
    for (int i = 0; i < 4; i++)
        assert_int_equal(receiver.numbers[i], i);
    assert_int_equal(mailbox_drain(mailbox), 0);
    mailbox_free(mailbox);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_are_handled_in_the_order_they_came),
        cmocka_unit_test(a_full_mailbox_refuses_and_the_message_stays_the_senders),
        cmocka_unit_test(messages_left_over_are_handled_when_it_is_freed),
        cmocka_unit_test(a_handler_may_send_to_its_own_mailbox),
        cmocka_unit_test(a_handler_may_wait_for_what_came_after_it),
        cmocka_unit_test(each_senders_messages_arrive_once_and_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
