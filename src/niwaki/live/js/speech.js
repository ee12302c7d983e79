// Speaks a class with a voice of the device itself. Voices that ask a server (not localService) are never used.
class Speech {
  constructor(current) {
    this.current = current; // the index of the class that is shown, or null
    this.on = false;
    this.synthesis = window.speechSynthesis;
    byId("speak").addEventListener("click", () => this.toggle());
    byId("voice").addEventListener("change", () => this.on && this.say(this.current()));
    this.synthesis?.addEventListener?.("voiceschanged", () => this.refresh());
    this.refresh();
  }

  // The first voice of each language: the system's own choice where it has one.
  voices() {
    const local = (this.synthesis?.getVoices() || []).filter((voice) => voice.localService);
    const found = new Map();
    for (const language of [data.lang, "en", "ko"]) {
      const fitting = local.filter((voice) => voice.lang.toLowerCase().split(/[-_]/)[0] === language);
      const voice = fitting.find((one) => one.default) || fitting[0];
      if (voice) found.set(language, voice);
    }
    return found;
  }

  refresh() {
    const voices = this.voices();
    const [chosen, select] = [byId("voice").value, byId("voice")];
    select.replaceChildren(...[...voices.keys()].map((language) => new Option(text(`language_${language}`), language)));
    if (voices.has(chosen)) select.value = chosen;
    byId("voice-row").hidden = voices.size < 2;
    byId("speak").disabled = voices.size === 0;
    byId("no-voice").textContent = voices.size ? "" : text("no_voice");
  }

  toggle() {
    this.on = !this.on;
    byId("speak").setAttribute("aria-pressed", String(this.on));
    if (this.on) this.say(this.current());
    else this.synthesis.cancel();
  }

  // A newer word replaces one that is still being spoken.
  say(index) {
    const language = byId("voice").value;
    const voice = this.voices().get(language);
    if (!this.on || index === null || !voice) return;
    const utterance = new SpeechSynthesisUtterance(data.classes[index][language]);
    utterance.voice = voice;
    utterance.lang = voice.lang;
    this.synthesis.cancel();
    this.synthesis.speak(utterance);
  }
}
