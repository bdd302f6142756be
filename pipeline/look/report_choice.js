"use strict";
// Which figures are shown, and in which order: plain values in, plain values out, so that it runs without a page.
// A figure is {facts: {name: word, [words], number or null}, text: what a search looks through}.

const choice = (function () {
  const isNumber = (value) => typeof value === "number";
  const isMissing = (value) => value === null || value === undefined || (Array.isArray(value) && !value.length);
  const wordsOf = (value) => isMissing(value) ? [null] : Array.isArray(value) ? value : [String(value)];
  const byName = (a, b) => a.word === null ? 1 : b.word === null ? -1 : a.word < b.word ? -1 : 1;

  // What can be chosen: for each fact of words that differ {name, values: [{word, count}]}, null for none of them;
  // for each fact of numbers that differ {name, values: null}: figures can be ordered by it.
  function controls(figures) {
    const names = [...new Set(figures.flatMap((figure) => Object.keys(figure.facts)))];
    return names.map((name) => {
      const found = figures.map((figure) => figure.facts[name]);
      const there = found.filter((value) => !isMissing(value));
      if (there.length && there.every(isNumber)) {
        return new Set(there).size > 1 ? { name, values: null } : null;
      }
      const counts = new Map();
      for (const value of found) for (const word of new Set(wordsOf(value))) counts.set(word, (counts.get(word) || 0) + 1);
      const values = [...counts].map(([word, count]) => ({ word, count })).sort(byName);
      return values.length > 1 ? { name, values } : null;
    }).filter((control) => control !== null);
  }

  // Indices of the figures that have every wanted word, {name: word or null}, and the text.
  function matching(figures, words, text) {
    const wanted = Object.entries(words), part = text.trim().toLowerCase();
    return [...figures.keys()].filter((index) => {
      const { facts, text: own } = figures[index];
      return wanted.every(([name, word]) => wordsOf(facts[name]).includes(word)) && own.toLowerCase().includes(part);
    });
  }

  // The indices by one fact, numbers or words, what has none last; equal ones, and all without a name, stay as they are.
  function ordered(figures, indices, name, upward) {
    const value = (index) => figures[index].facts[name];
    if (name === null) return [...indices].sort((a, b) => a - b);
    return [...indices].sort((a, b) => {
      if (isMissing(value(a)) || isMissing(value(b))) return isMissing(value(a)) - isMissing(value(b)) || a - b;
      const [low, high] = upward ? [value(a), value(b)] : [value(b), value(a)];
      return low < high ? -1 : low > high ? 1 : a - b;
    });
  }

  return { controls, matching, ordered };
})();
