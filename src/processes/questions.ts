/** Questions to another process, each with a number that its answer comes back with. */
export interface Questions<Answer> {
  /** Sends a question by `send`, and resolves to its answer. */
  ask(send: (question: number) => void): Promise<Answer>;
  answer(question: number, answer: Answer): void;
}

export function openQuestions<Answer>(): Questions<Answer> {
  const open = new Map<number, (answer: Answer) => void>();
  let last = 0;
  return {
    ask: (send) =>
      new Promise((resolve) => {
        last++;
        open.set(last, resolve);
        send(last);
      }),
    answer(question, answer) {
      open.get(question)?.(answer);
      open.delete(question);
    },
  };
}
