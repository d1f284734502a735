// Counts what goes wrong in the page itself, so that a test can see it: <html data-errors="0">.

const root = document.documentElement;
root.dataset.errors = "0";
const countError = () => { root.dataset.errors = String(Number(root.dataset.errors) + 1); };
window.addEventListener("error", countError);
window.addEventListener("unhandledrejection", countError);
document.addEventListener("securitypolicyviolation", countError);

